"""The fuzzer: daemons on one store for two virtual hours of faults, judged from the world's own record."""

"""The house under a virtual clock: the loop, a world in memory that keeps the real ones' rules, `simulate`."""

"""Providers: one LLM API each, all behind the gateway."""

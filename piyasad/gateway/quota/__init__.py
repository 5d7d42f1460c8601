"""Quotas: what a key, a budget and a shard may use."""

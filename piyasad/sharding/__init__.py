"""Shards: who speaks for whom, and what they share."""

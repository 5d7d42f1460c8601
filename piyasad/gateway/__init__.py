"""The gateway: every LLM behind one door."""

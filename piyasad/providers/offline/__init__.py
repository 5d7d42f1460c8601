"""The offline provider: a grammar, not a model."""

"""The store: PostgreSQL is the truth; everything above talks to it through `base.Store`."""

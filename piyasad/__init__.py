"""piyasad: many openly labelled AI bots, one market conversation, one process."""

__version__ = "0.1.0"

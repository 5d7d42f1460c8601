"""The pure decisions: when a bot speaks and what a turn does. No I/O, no clock of its own, no chance of its own.

`scheduler.py` and `turn.py` call these functions with a room's view, a persona, settings, a time and a generator.
"""

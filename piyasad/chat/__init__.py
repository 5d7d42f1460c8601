"""One chat in memory: its window, heat, pace and its members' budgets."""

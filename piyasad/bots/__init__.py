"""The bots: which are ours, what a turn does, what people say to them, who polls."""

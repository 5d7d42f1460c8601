"""Who the bots are: profiles and prompts. Pure; imports neither store nor network."""

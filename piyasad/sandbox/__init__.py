"""The outside world on loopback: Telegram and LLM servers of our own. Imports nothing else of piyasad."""

"""Telegram: limits, the one sender, the pollers. Knows neither the gateway nor the store."""

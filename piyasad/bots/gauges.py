"""The gauge of bots by state. The engine calls it when the gauges are read."""

from __future__ import annotations

from collections import Counter

from piyasad.bots.state import BotState, LiveState
from piyasad.metrics import Metrics

STATES = ("active", "waiting", "parked", "disabled")


def count_bots(live: LiveState, metrics: Metrics) -> None:
    """Set `piyasad_bots{state}`."""
    states = Counter(map(state_of, live.bots.values()))
    states["parked"] += len(live.tokenless)
    for state in STATES:
        metrics.bots.labels(state).set(states[state])


def state_of(bot: BotState) -> str:
    """How a bot of the configuration is: `active` (ours), `waiting` (another daemon's, or nobody's yet), …"""
    if not bot.settings.enabled:
        return "disabled"
    if bot.parked:
        return "parked"
    return "active" if bot.held else "waiting"

"""Contact: when the Bot API last answered us, and what went wrong since. Readiness asks; `sender.py` tells."""

from __future__ import annotations

from piyasad.clock import Clock


class Contact:
    """One daemon's contact with Telegram, over all its bots and methods."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at: float | None = None
        self.error = ""  # the last failure since the last success

    @property
    def age(self) -> float | None:
        """Seconds since a call succeeded; None when none did yet."""
        return None if self._at is None else self._clock.mono() - self._at

    def told(self, error: str) -> None:
        """A call ended: "" for a success, else what became of it."""
        self.error = error
        if not error:
            self._at = self._clock.mono()

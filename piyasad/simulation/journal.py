"""The journal of a simulation: JSON lines of what was said, decided and asked, in the order in which it happened.

The same seed, configuration and script give the same bytes on every Python, so two journals can be compared with
`diff`. Times are those of the configuration's zone, to the millisecond.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from piyasad.model import TurnTrace
from piyasad.sandbox.objects import Line
from piyasad.simulation.model import Call
from piyasad.simulation.telegram import Arrival


class Journal:
    """Writes events as they come."""

    def __init__(self, out: TextIO, zone: ZoneInfo) -> None:
        self._out = out
        self._zone = zone

    def person(self, line: Line) -> None:
        """A member said something."""
        self._write(
            line.at,
            "person",
            {
                "chat": line.chat,
                "message": line.id,
                "who": line.author.name,
                "text": line.text,
                "reply_to": line.reply_to,
            },
        )

    def message(self, arrival: Arrival) -> None:
        """A bot's message was delivered."""
        self._write(
            arrival.at,
            "message",
            {
                "chat": arrival.chat,
                "message": arrival.message_id,
                "bot": arrival.bot,
                "name": arrival.name,
                "text": arrival.text,
                "reply_to": arrival.reply_to,
            },
        )

    def turn(self, trace: TurnTrace, ended: float) -> None:
        """A turn ended."""
        self._write(
            ended,
            "turn",
            {
                "bot": trace.bot_id,
                "chat": trace.chat_id,
                "began": self._time(trace.at),
                "intent": trace.intent,
                "outcome": trace.outcome,
                "detail": trace.detail,
            },
        )

    def model(self, call: Call) -> None:
        """A provider answered."""
        self._write(
            call.at + call.seconds,
            "model",
            {
                "bot": call.bot_id,
                "provider": call.provider,
                "model": call.model,
                "class": call.klass.value,
                "prompt_tokens": call.prompt,
                "completion_tokens": call.completion,
                "text": call.text,
            },
        )

    def _write(self, at: float, kind: str, fields: dict[str, Any]) -> None:
        row = {"at": self._time(at), "type": kind, **fields}
        self._out.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")

    def _time(self, at: float) -> str:
        return datetime.fromtimestamp(at, self._zone).isoformat(timespec="milliseconds")

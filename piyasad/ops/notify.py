"""systemd's notification protocol, sd_notify(3): ready, status, reloading, stopping, watchdog.

The engine calls it; without systemd it is silent. It never blocks and never fails.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Talks to $NOTIFY_SOCKET. `watchdog` is to be called about once a second; it keeps to half of $WATCHDOG_USEC."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):  # the abstract namespace
            self._address = "\0" + self._address[1:]
        mine = env.get("WATCHDOG_PID") in {None, "", str(os.getpid())}
        usec = env.get("WATCHDOG_USEC", "")
        self._every = int(usec) / 2e6 if mine and usec.isdecimal() else 0.0
        self._last = float("-inf")

    def ready(self, status: str) -> None:
        """Started, or a reload has ended."""
        self._send(f"READY=1\nSTATUS={' '.join(status.split())}")  # a line break would begin another word

    def reloading(self) -> None:
        """A reload begins; the stamp lets systemd match it with the READY that ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The drain begins."""
        self._send("STOPPING=1\nSTATUS=draining")

    def watchdog(self) -> None:
        """The loop turns."""
        now = time.monotonic()
        if self._every and now - self._last >= min(self._every, 1.0):
            self._last = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # a datagram to a local socket does not block; systemd being away must not end the daemon
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto(message.encode(), self._address)

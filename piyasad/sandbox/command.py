"""The sandbox as a process: what `piyasad sandbox` runs. Ends on SIGINT, SIGTERM, or with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from piyasad.sandbox.server import serve


def run(listen: str, world: Path | None, state: Path | None, *, until_stdin_ends: bool) -> int:
    """Serve until told to stop; 0 then, 2 when the address or a file cannot be used.

    `until_stdin_ends`: also stop when standard input ends: the demo holds the other end of that pipe, so that its
    sandbox cannot outlive it, however it dies.
    """
    host, _, port = listen.rpartition(":")
    try:
        asyncio.run(_serve(host or "127.0.0.1", int(port), world, state, until_stdin_ends))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"the sandbox cannot use {listen}, --world or --state: {error}\n")
        return 2
    return 0


async def _serve(host: str, port: int, world: Path | None, state: Path | None, until_stdin_ends: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_ends:
        loop.add_reader(sys.stdin, lambda: None if os.read(sys.stdin.fileno(), 1024) else stop.set())

    def on_ready(url: str) -> None:
        sys.stdout.write(f"sandbox: {url}\n")
        sys.stdout.flush()

    await serve(host=host, port=port, world=world, state=state, on_ready=on_ready, until=stop)

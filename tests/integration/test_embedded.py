"""The private PostgreSQL: first and later starts, adoption after a kill, its lock, its session, bad directories."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.model import DaemonRow, Received
from piyasad.store import embedded
from piyasad.store.embedded import DataDirError, Embedded, running_dsn, wheel_bin_dir
from piyasad.store.postgres import PostgresStore
from piyasad.store.server import ServerError, ServerProcess, server_user

AS_ROOT = os.geteuid() == 0
REPOSITORY = Path(embedded.__file__).parents[2]
ENV = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY), sysconfig.get_path("purelib")]),
    "PYTHONDONTWRITEBYTECODE": "1",
}

HOLDER = """
import asyncio, sys
from pathlib import Path
from piyasad.store.embedded import Embedded

async def main():
    server = await Embedded.start(Path(sys.argv[1]))
    print(server.pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop()

asyncio.run(main())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory for data; whatever server is left in it afterwards is ended by its pid."""
    root = Path(tempfile.mkdtemp(prefix="piyasad-data-"))
    root.chmod(0o711)
    yield root / "data"
    server = ServerProcess(wheel_bin_dir(), root / "data" / "postgres", root, None)
    server.stop(5.0)
    shutil.rmtree(root)


@contextlib.contextmanager
def holder(
    data_dir: Path, python: str = sys.executable, prefix: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds a running server; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*prefix, python, "-c", HOLDER, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while not (line := process.stdout.readline()).strip().isdecimal():
            assert line, "the holder ended before its server was up"
        yield process, int(line)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextlib.contextmanager
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        yield other


def running(pid: int) -> bool:
    """Whether the process lives; a zombie that nobody collected (no init in a container) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def test_data_survives_a_stop_and_a_later_start(data_dir: Path) -> None:
    server = await Embedded.start(data_dir)
    assert not server.adopted
    store = await PostgresStore.connect(server.dsn, SystemClock())
    await store.receive([Received(-1, 1, 5, "Deniz", "kalır", SystemClock().wall())])
    await store.close()
    await server.stop()
    assert not running(server.pid)
    assert running_dsn(data_dir) is None
    server = await Embedded.start(data_dir)
    assert running_dsn(data_dir) == server.dsn
    store = await PostgresStore.connect(server.dsn, SystemClock())
    assert [message.text for message in await store.recent(-1, 5)] == ["kalır"]
    await store.close()
    await server.stop()


async def test_the_server_listens_on_no_port_and_keeps_every_commit(data_dir: Path) -> None:
    server = await Embedded.start(data_dir)
    connection = await asyncpg.connect(server.dsn)
    for name, value in (("listen_addresses", ""), ("fsync", "on"), ("synchronous_commit", "on")):
        assert await connection.fetchval(f"SHOW {name}") == value
    await connection.close()
    socket = next(path for path in (data_dir / "postgres").iterdir() if path.name == ".s.PGSQL.5432")
    assert mode(socket) == 0o700
    assert mode(data_dir / "postgres") == 0o700
    await server.stop()


async def test_a_server_left_by_a_killed_daemon_is_adopted_with_its_data(data_dir: Path) -> None:
    with holder(data_dir) as (process, pid):
        dsn = running_dsn(data_dir)
        assert dsn is not None
        store = await PostgresStore.connect(dsn, SystemClock())
        await store.enter(DaemonRow("dead", 1, 1, "h", 1, "c", 0.0, True, ""), 3600)
        await store.take("dead", [(1, "Ali", "ali")])
        await store.receive([Received(-1, 1, 5, "Deniz", "kalır", SystemClock().wall())])
        await store.close()
        process.kill()
        process.wait()
    assert running(pid)
    server = await Embedded.start(data_dir)
    assert (server.adopted, server.pid) == (True, pid)
    store = await PostgresStore.connect(server.dsn, SystemClock())
    assert [message.text for message in await store.recent(-1, 5)] == ["kalır"]
    await store.enter(DaemonRow("new", 1, 1, "h", 1, "c", 0.0, True, ""), 3600)
    await store.expire_others("new")  # the directory is locked: nobody else can be alive
    assert [lease.fence for lease in await store.take("new", [(1, "Ali", "ali")])] == [2]
    await store.close()
    await server.stop()
    assert not running(pid)


async def test_a_crashed_server_recovers_at_the_next_start(data_dir: Path) -> None:
    server = await Embedded.start(data_dir)
    store = await PostgresStore.connect(server.dsn, SystemClock())
    await store.receive([Received(-1, 1, 5, "Deniz", "kalır", SystemClock().wall())])
    ended = asyncio.create_task(server.ended())
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        await ended
    await store.close()
    await server.stop()
    server = await Embedded.start(data_dir)
    store = await PostgresStore.connect(server.dsn, SystemClock())
    assert [message.text for message in await store.recent(-1, 5)] == ["kalır"]
    await store.close()
    await server.stop()


async def test_a_store_that_cannot_take_its_leave_is_closed_all_the_same(data_dir: Path) -> None:
    """As when the server dies while the pool says farewell: the pipe is broken."""
    server = await Embedded.start(data_dir)
    store = await PostgresStore.connect(server.dsn, SystemClock())
    await store.writer.close()
    for holder_ in store._calls._pool._holders:  # type: ignore[attr-defined]
        if holder_._con is not None:
            holder_._con._transport.get_extra_info("socket").shutdown(socket.SHUT_WR)
    await store.close()
    await server.stop()


async def test_a_second_daemon_on_the_directory_is_told_who_holds_it(data_dir: Path) -> None:
    with holder(data_dir) as (process, pid):
        with pytest.raises(DataDirError, match=rf"in use by another piyasad \(pid {process.pid}\)"):
            await Embedded.start(data_dir)
        assert running(pid)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
        assert not running(pid)
    await (await Embedded.start(data_dir)).stop()


async def test_the_server_has_a_session_of_its_own(data_dir: Path) -> None:
    server = await Embedded.start(data_dir)
    assert os.getsid(server.pid) == server.pid != os.getsid(0)
    assert os.getpgid(server.pid) != os.getpgid(0)
    await server.stop()


async def test_a_start_that_is_cancelled_leaves_no_server(data_dir: Path) -> None:
    starting = asyncio.create_task(Embedded.start(data_dir))
    await asyncio.sleep(0.05)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert running_dsn(data_dir) is None
    await (await Embedded.start(data_dir)).stop()


async def test_a_half_made_cluster_is_made_anew(data_dir: Path) -> None:
    left = data_dir / "postgres.new"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    await (await Embedded.start(data_dir)).stop()
    assert not left.exists()


async def test_a_stale_pid_file_whose_pid_lives_on_as_another_process_is_no_server(data_dir: Path) -> None:
    await (await Embedded.start(data_dir)).stop()
    with bystander() as other:
        stale = data_dir / "postgres" / "postmaster.pid"
        stale.write_text(f"{other.pid}\n{data_dir}/postgres\n1\n5432\n{data_dir}/postgres\n\n1 2\nready\n")
        server = await Embedded.start(data_dir)
        assert not server.adopted
        await server.stop()
        assert other.poll() is None


async def test_a_path_too_long_for_a_socket_is_no_hindrance(data_dir: Path) -> None:
    deep = data_dir / ("uzun" * 30)
    server = await Embedded.start(deep)
    connection = await asyncpg.connect(server.dsn)
    assert await connection.fetchval("SELECT 1") == 1
    [sockets] = await connection.fetchrow("SHOW unix_socket_directories") or []
    await connection.close()
    assert not Path(sockets).is_relative_to(deep)
    assert mode(Path(sockets)) == 0o700
    assert running_dsn(deep) == server.dsn
    await server.stop()
    assert not await asyncio.to_thread(Path(sockets).exists)


async def test_a_socket_folder_of_somebody_else_is_not_used(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = (data_dir / ("uzun" * 30)).absolute()
    folder = embedded.socket_dir_for(deep / "postgres", Path(tempfile.gettempdir()))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    folder.symlink_to("/")
    try:
        with pytest.raises(DataDirError, match="belongs to somebody else"):
            await Embedded.start(deep)
    finally:
        folder.unlink()


async def test_a_file_in_place_of_the_directory_is_a_clear_error(data_dir: Path) -> None:
    await asyncio.to_thread(data_dir.touch)
    with pytest.raises(DataDirError, match=r"data directory .*data cannot be used: .*--data-dir"):
        await Embedded.start(data_dir)


async def test_a_directory_of_other_files_or_another_version_is_left_alone(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    mine = data_dir / "postgres" / "mektup.txt"
    mine.write_text("benim")
    user = server_user(data_dir / "postgres")
    if user is not None:
        os.chown(data_dir / "postgres", user.uid, user.gid)
    with pytest.raises(DataDirError, match="is not empty and holds no PostgreSQL data"):
        await Embedded.start(data_dir)
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(DataDirError, match="made by PostgreSQL 16, this piyasad runs 18"):
        await Embedded.start(data_dir)
    assert mine.read_text() == "benim"


async def test_a_server_that_cannot_start_says_what_postgresql_said(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Embedded.start(data_dir)).stop()
    monkeypatch.setattr(embedded, "SETTINGS", {"listen_addresses": "", "shared_buffers": "nonsense"})
    with pytest.raises(ServerError, match=r"PostgreSQL ended at its start.*shared_buffers"):
        await Embedded.start(data_dir)
    monkeypatch.undo()
    (data_dir / "postgres" / "server.log").write_bytes(b"x" * 2_000_000)
    await (await Embedded.start(data_dir)).stop()
    assert (data_dir / "postgres" / "server.log.1").stat().st_size >= 2_000_000


@pytest.mark.skipif(not AS_ROOT, reason="changes users, so it needs root")
async def test_root_opens_closed_folders_to_pass_only_and_runs_as_another_user(data_dir: Path) -> None:
    closed = data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    server = await Embedded.start(closed / "data")
    assert owner(server.pid) != 0
    assert mode(closed) == 0o701
    assert mode(closed / "data" / "postgres") == 0o700
    await server.stop()


def python_for(user: str) -> tuple[str, list[str]]:
    """A Python that the user can run with our code, and the words before it that change to that user."""
    prefix = ["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"]
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        command = [*prefix, python, "-c", "import piyasad.store.embedded"]
        done = subprocess.run(command, check=False, capture_output=True, cwd="/", env=ENV)
        if done.returncode == 0:
            return python, prefix
    reason = "every Python here is closed to other users (for example under /root)"
    if os.environ.get("PIYASAD_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.skipif(not AS_ROOT, reason="changes users, so it needs root")
async def test_a_plain_user_runs_it_and_is_told_what_he_may_not_use(data_dir: Path) -> None:
    python, prefix = await asyncio.to_thread(python_for, "nobody")
    home, shut = data_dir.parent / "home", data_dir.parent / "shut"
    for folder in (home, shut):
        folder.mkdir(mode=0o700)
    shutil.chown(home, "nobody")
    with holder(home / "data", python, prefix) as (process, pid):
        assert owner(pid) == pwd.getpwnam("nobody").pw_uid
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0
        assert not running(pid)
    code = HOLDER.replace("asyncio.run(main())", "try: asyncio.run(main())\nexcept Exception as e: print(e)")
    for folder in (shut, shut / "data", data_dir.parent / "roots" / "data"):
        command = [*prefix, python, "-c", code, str(folder)]
        done = await asyncio.to_thread(
            subprocess.run, command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=ENV
        )
        assert f"data directory {folder} cannot be used: Permission denied" in done.stdout
        assert "make it writable for user nobody" in done.stdout

"""`status`, `bots`, `chats` and `plan` beside a running daemon's database."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.commands.database import NoDaemon
from piyasad.commands.plan import plans_of
from piyasad.commands.status import bots_of, chats_of, state_of
from piyasad.config.load import ConfigError, read
from piyasad.config.snapshot import pack, snapshot
from piyasad.model import DaemonRow, Received
from piyasad.store.embedded import Embedded
from piyasad.store.postgres import PostgresStore
from tests.plain_user import AS_ROOT, open_to_all, plain_user

CHAT = -1001234567890
CONFIG = """
[gateway]
route = ["offline"]
[store]
{store}
[[chats]]
id = {chat}
title = "Oda"
[[bots]]
name = "Ali Hoca"
username = "ali_bot"
token_env = "PIYASAD_TEST_TOKEN"
chats = [{chat}]
[[bots]]
name = "Ayşe"
username = "ayse_bot"
chats = [{chat}]
enabled = false
"""
ROW = {"provider": "groq", "key": "ab", "model": "m", "state": "open"}
REPORT = {
    "stretch": 3.25,
    "forecast": ["4 bots want about 310 lines a day."],
    "limits": [
        ROW | {"name": "rpm", "limit": 30, "left": 12, "source": "file", "at": 0.0},
        ROW | {"name": "tpd", "limit": 100_000, "left": 5, "source": "a refusal", "at": 1_795_424_400.0},
    ],
}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket, and open enough for the server's user."""
    root = Path(tempfile.mkdtemp(prefix="piyasad-status-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


def write(folder: Path, store: str) -> Path:
    file = folder / "config.toml"
    file.write_text(CONFIG.format(store=store, chat=CHAT))
    return file


async def live(store: PostgresStore, file: Path, *names: str) -> None:
    """A daemon that holds Ali Hoca, hears in the chat and has heard one line."""
    settings = read(file, {}).settings
    runs = pack(snapshot(settings, {"PIYASAD_TEST_TOKEN": f"7:{'A' * 35}"}, salt="salt", file=str(file)))
    for number, name in enumerate(names or ("d1",)):
        await store.enter(DaemonRow(name, number, 2, "evim", 42, "hash", 0.0, True, ""), ttl=600)
        await store.report(name, {"gateway": REPORT, "configuration": runs})
    await store.take(names[0] if names else "d1", [(7, "Ali Hoca", "ali_bot")])
    await store.ensure_chats([CHAT])
    await store.set_ear(CHAT, None, 7)
    await store.receive([Received(CHAT, 1, 501, "Deniz", "günaydın", await store.now())])


async def test_a_running_daemons_state_is_shown(store: PostgresStore, pg_dsn: str, tmp_path: Path) -> None:
    file = write(tmp_path, f'postgres = "{pg_dsn}"')
    await live(store, file)
    state = await asyncio.to_thread(state_of, file, None, None)
    (daemon,) = state["daemons"]
    assert (daemon["shard"], daemon["host"], daemon["pid"], daemon["alive"]) == ("0/2", "evim", 42, True)
    assert [(bot["name"], bot["owner"]) for bot in state["bots"]] == [("Ali Hoca", "0/2 evim 42"), ("Ayşe", "")]
    assert state["missing"] == ["missing: 1/2; start piyasad run --shard 1/2, its bots are silent"]
    assert (state["stretch"], state["forecast"]) == (3.25, ["4 bots want about 310 lines a day."])
    assert [(row["name"], row["limit"], row["left"], row["source"]) for row in state["limits"]] == [
        ("rpm", 30, 12, "file"),
        ("tpd", 100_000, 5, "a refusal, 2026-11-23 12:00:00"),
    ]
    assert state["counts"] == {"received": 1}
    assert [(line["author"], line["text"]) for line in state["messages"]] == [("Deniz", "günaydın")]
    bots, _ = await asyncio.to_thread(bots_of, file, None, None)
    assert [(bot["name"], bot["state"]) for bot in bots] == [("Ali Hoca", "active"), ("Ayşe", "disabled")]
    ([chat], _) = await asyncio.to_thread(chats_of, file, None, None)
    assert (chat["id"], chat["ear"], chat["bots"]) == (CHAT, "Ali Hoca (7)", "Ali Hoca, Ayşe")


async def test_a_database_says_it_all_without_a_readable_file(
    store: PostgresStore, pg_dsn: str, tmp_path: Path
) -> None:
    await live(store, write(tmp_path, f'postgres = "{pg_dsn}"'))
    broken = tmp_path / "broken.toml"
    broken.write_text("[pace]\nburst")
    state = await asyncio.to_thread(state_of, broken, None, pg_dsn)
    assert [bot["name"] for bot in state["bots"]] == ["Ali Hoca", "Ayşe"]
    assert "broken TOML" in state["notes"][0]
    absent = await asyncio.to_thread(state_of, tmp_path / "none.toml", None, pg_dsn)
    assert absent["notes"] == []
    with pytest.raises(ConfigError, match="broken TOML"):
        await asyncio.to_thread(state_of, broken, None, None)


async def test_a_plan_is_made_for_all_daemons_that_run_with_the_same(
    store: PostgresStore, pg_dsn: str, tmp_path: Path
) -> None:
    file = write(tmp_path, f'postgres = "{pg_dsn}"')
    await live(store, file, "d1", "d2")
    (plan,) = await asyncio.to_thread(plans_of, file, None, None, {})
    assert (plan.daemons, plan.rows, plan.refused) == (("0/2 evim 42", "1/2 evim 42"), (), ())
    file.write_text(file.read_text().replace('title = "Oda"', 'title = "Salon"'))
    (plan,) = await asyncio.to_thread(plans_of, file, None, None, {})
    assert [str(row) for row in plan.rows] == [f"~ chat {CHAT}: title"]
    file.write_text("# all gone\n")
    (plan,) = await asyncio.to_thread(plans_of, file, None, pg_dsn, {})
    assert [problem.key for problem in plan.refused] == ["store.postgres", "bots", "chats"]


async def test_a_private_database_is_read_without_the_daemons_lock(folder: Path) -> None:
    file = write(folder, f'data_dir = "{folder / "data"}"')
    with pytest.raises(NoDaemon, match="no daemon runs"):
        await asyncio.to_thread(state_of, file, None, None)
    server = await Embedded.start(folder / "data")
    try:
        with pytest.raises(NoDaemon, match="no tables"):
            await asyncio.to_thread(state_of, file, None, None)
        store = await PostgresStore.connect(server.dsn, SystemClock(), start_timeout=10.0)
        await live(store, file)
        for config, data_dir in ((file, None), (folder / "none.toml", folder / "data")):
            state = await asyncio.to_thread(state_of, config, data_dir, None)
            assert state["daemons"][0]["alive"] is True
        await store.close()
    finally:
        await server.stop()
    ([bot, _], [note]) = await asyncio.to_thread(bots_of, file, None, None)
    assert bot["state"] == "parked"
    assert "the configuration's word alone" in note


async def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, f'postgres = "postgresql://nobody@/x?host={tmp_path}"')
    with pytest.raises(NoDaemon, match="is the daemon running"):
        await asyncio.to_thread(state_of, file, None, None)


async def test_a_strangers_database_is_no_daemons(pg_dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(pg_dsn)
    await connection.execute("DROP TABLE daemon CASCADE")
    await connection.execute("DROP TABLE schema_migration")
    await connection.close()
    with pytest.raises(NoDaemon, match="no tables"):
        await asyncio.to_thread(state_of, write(tmp_path, f'postgres = "{pg_dsn}"'), None, None)


COMMAND = """
import sys
import piyasad.commands.status
from piyasad.cli import main
sys.argv[0] = "piyasad"
become_a_plain_user()
main()
"""


@pytest.mark.skipif(not AS_ROOT, reason="looks as another user, so it needs root")
def test_another_users_data_directory_is_said_to_be_closed(tmp_path: Path) -> None:
    folder = open_to_all(tmp_path) / "data"
    (folder / "postgres").mkdir(parents=True)
    (folder / "postgres").chmod(0o700)
    done = plain_user(COMMAND, "status", "--data-dir", folder)
    assert done.returncode == 1
    assert "cannot be seen" in done.stderr
    assert f"{folder}/postgres may not be entered by nobody: its mode is 0700 and it belongs to root" in done.stderr

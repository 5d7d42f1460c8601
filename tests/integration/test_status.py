"""`status`, `bots` and `chats` beside a running daemon's database."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from piyasad.clock import SystemClock
from piyasad.commands.status import NoDaemon, bots_of, chats_of, state_of
from piyasad.model import DaemonRow, Received
from piyasad.store.embedded import Embedded
from piyasad.store.postgres import PostgresStore

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


async def live(store: PostgresStore) -> None:
    """A daemon that holds Ali Hoca, hears in the chat and has heard one line."""
    await store.enter(DaemonRow("d1", 1, 2, "evim", 42, "hash", 0.0, True, ""), ttl=600)
    await store.take("d1", [(7, "Ali Hoca", "ali_bot")])
    await store.report("d1", {"gateway": REPORT})
    await store.set_bot_state(7, "active", "")
    await store.ensure_chats([CHAT])
    await store.set_ear(CHAT, None, 7)
    said = Received(
        chat_id=CHAT,
        thread_id=None,
        user_id=501,
        author="Deniz",
        telegram_id=1,
        text="günaydın",
        reply_to=None,
        at=await store.now(),
    )
    await store.receive([said])


async def test_a_running_daemons_state_is_shown(store: PostgresStore, pg_dsn: str, tmp_path: Path) -> None:
    await live(store)
    file = write(tmp_path, f'postgres = "{pg_dsn}"')
    state = await asyncio.to_thread(state_of, file, None)
    (daemon,) = state["daemons"]
    assert (daemon["shard"], daemon["host"], daemon["pid"], daemon["alive"]) == ("1/2", "evim", 42, True)
    assert [(bot["name"], bot["owner"]) for bot in state["bots"]] == [("Ali Hoca", "d1")]
    assert (state["stretch"], state["forecast"]) == (3.25, ["4 bots want about 310 lines a day."])
    assert [(row["name"], row["limit"], row["left"], row["source"]) for row in state["limits"]] == [
        ("rpm", 30, 12, "file"),
        ("tpd", 100_000, 5, "a refusal, 23.11. 12:00"),
    ]
    assert state["counts"] == {"received": 1}
    assert [(line["author"], line["text"]) for line in state["messages"]] == [("Deniz", "günaydın")]
    bots = await asyncio.to_thread(bots_of, file, None)
    assert [(bot["name"], bot["state"]) for bot in bots] == [("Ali Hoca", "active"), ("Ayşe", "disabled")]
    (chat,) = await asyncio.to_thread(chats_of, file, None)
    assert (chat["id"], chat["ear"], chat["bots"]) == (CHAT, "Ali Hoca", "Ali Hoca, Ayşe")


async def test_a_private_database_is_read_without_the_daemons_lock(folder: Path) -> None:
    file = write(folder, f'data_dir = "{folder / "data"}"')
    with pytest.raises(NoDaemon, match="no daemon runs"):
        await asyncio.to_thread(state_of, file, None)
    server = await Embedded.start(folder / "data")
    try:
        with pytest.raises(NoDaemon, match="no tables"):
            await asyncio.to_thread(state_of, file, None)
        store = await PostgresStore.connect(server.dsn, SystemClock(), start_timeout=10.0)
        await live(store)
        state = await asyncio.to_thread(state_of, file, None)
        assert state["daemons"][0]["alive"] is True
        await store.close()
    finally:
        await server.stop()
    (bot, _) = await asyncio.to_thread(bots_of, file, None)
    assert bot["state"] == "parked"


async def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    file = write(tmp_path, f'postgres = "postgresql://nobody@/x?host={tmp_path}"')
    with pytest.raises(NoDaemon, match="cannot be reached"):
        await asyncio.to_thread(state_of, file, None)


async def test_a_strangers_database_is_no_daemons(pg_dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(pg_dsn)
    await connection.execute("DROP TABLE daemon")
    await connection.close()
    with pytest.raises(NoDaemon, match="no tables"):
        await asyncio.to_thread(state_of, write(tmp_path, f'postgres = "{pg_dsn}"'), None)

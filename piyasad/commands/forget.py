"""`forget`: a member's rows, name and words leave the database. `cli.py` prints what went, and what is not reached."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from piyasad.commands.database import find
from piyasad.commands.link import BadArgument, Link, Unknown, parse_member
from piyasad.store.interface import Store

LIMITS: Final = (
    "Not reached: backups, exports and journals made before: restore none without forgetting again.",
    "Not reached: the Telegram group itself. Members' lines are theirs to delete, bots' lines stay as they were said.",
)
RUNNING: Final = (
    "A daemon is running and may be writing a line that names them: say it again in five minutes, with the id and each "
    "--name and --handle they went by."
)


def forget_of(
    config: Path,
    data_dir: Path | None,
    dsn: str | None,
    user: str,
    *,
    chat_id: int | None = None,
    names: Sequence[str] = (),
    handles: Sequence[str] = (),
) -> dict[str, Any]:
    """Forget a member: `user_id` (None where only a handle is known), rows `deleted` and `rewritten` by table, `notes`.

    Raises:
        BadArgument: what names the member cannot be read, or names a bot of ours.
        Unknown: nothing is held on them.
        ConfigError: the configuration is broken and nothing else leads to a database.
        NoDaemon: no daemon's database can be reached.
    """
    member = parse_member(user, chat_id)
    place = find(config, data_dir, dsn, os.environ)

    async def work(store: Store) -> dict[str, Any]:
        return await forget(store, member, names, handles)

    return asyncio.run(place.change(work))


async def forget(
    store: Store, member: int | str | Link, names: Sequence[str] = (), handles: Sequence[str] = ()
) -> dict[str, Any]:
    """See `forget_of`."""
    user_id = await _user_id(store, member)
    if any(row.id == user_id for row in await store.bots()):
        raise BadArgument(f"{user_id} is a bot of ours, no member")
    erased = await store.forget(
        user_id, names=names, handles=[*handles, *([member] if isinstance(member, str) else ())]
    )
    if not erased.anything:
        raise Unknown(f"nothing is held on {_shown(member)}")
    running = any(row.alive for row in await store.daemons())
    return {
        "user_id": user_id,
        "deleted": dict(erased.deleted),
        "rewritten": dict(erased.rewritten),
        "tables": sorted({*erased.deleted, *erased.rewritten}),
        "notes": [*LIMITS, *([RUNNING] if running else ())],
    }


async def _user_id(store: Store, member: int | str | Link) -> int | None:
    if isinstance(member, int):
        return member
    if isinstance(member, str):
        found = await store.members(member)
        if len(found) > 1:
            raise BadArgument(f"@{member} was borne by {', '.join(map(str, found))} (the last first): give an id")
        return found[0] if found else None
    line = await store.message_at(member.chat_id or 0, member.telegram_id)
    if line is not None and line.bot_id is not None and line.reply_to is not None:
        line = await store.message_at(line.chat_id, line.reply_to)  # an answer of ours: whom it answers is meant
    if line is None or line.user_id is None:
        raise Unknown("the link leads to no member's line that is kept, nor to an answer to one: give an id")
    return line.user_id


def _shown(member: int | str | Link) -> str:
    return f"@{member}" if isinstance(member, str) else str(member) if isinstance(member, int) else "them"

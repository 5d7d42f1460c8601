"""`verify`: was this said by a bot of ours, when, by whom. By the fingerprint of the words, which outlives the line.

`cli.py` prints it. It only reads, and asks by an index: a second is enough among ten million lines.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from piyasad.commands.database import find
from piyasad.commands.link import BadArgument, Link, is_link, link_of, parse_link
from piyasad.commands.view import View, look
from piyasad.language.fingerprint import fingerprint
from piyasad.store.interface import Store
from piyasad.store.people import Saying

SHOWN = 100
"""Short lines are said often: the newest are shown."""


def verify_of(config: Path, data_dir: Path | None, dsn: str | None, said: str, chat_id: int | None) -> dict[str, Any]:
    """The lines of ours that are this text, or that this link leads to: `said`, newest first; `zone`; `by`.

    Raises:
        BadArgument: no text, or a link that leads to no chat that can be known.
        ConfigError: the configuration is broken and nothing else leads to a database.
        NoDaemon: no daemon's database can be reached.
    """
    if not said.strip():
        raise BadArgument("there is no text to look for")
    sought = parse_link(said, chat_id) if is_link(said) else said
    place = find(config, data_dir, dsn, os.environ)

    async def read(store: Store) -> dict[str, Any]:
        return await verify(store, await look(store, place.loaded, os.environ), sought)

    return asyncio.run(place.look(read))


async def verify(store: Store, view: View, sought: str | Link) -> dict[str, Any]:
    """What the store knows of it."""
    if isinstance(sought, Link):
        saying = await store.saying_at(sought.chat_id or 0, sought.telegram_id)
        found = [saying] if saying is not None else []
    else:
        found = await store.sayings(fingerprint(sought), SHOWN)
    by = "link" if isinstance(sought, Link) else "words and figures"
    return {"by": by, "zone": view.zone.key, "said": [row(view, saying) for saying in found]}


def row(view: View, saying: Saying) -> dict[str, Any]:
    """A line as it is shown."""
    chat = view.chats.get(str(saying.chat_id))
    return {
        "at": view.time(saying.at),
        "bot": saying.bot,
        "username": f"@{saying.username}" if saying.username else "",
        "bot_id": saying.bot_id,
        "chat": saying.chat_id,
        "title": chat["shown"].get("title", "") if chat is not None else "",
        "id": saying.message_id,
        "link": link_of(saying.chat_id, saying.telegram_id),
    }

"""`evidence`: everything about one line that a bot of ours said (or a member did), people's names masked.

`cli.py` prints it. It only reads: the ledger's row, the trace of its turn, what it answers, the notice that stood in
the chat, and the fingerprint that proves that the text is as it was sent.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from piyasad.commands.database import find
from piyasad.commands.link import Link, Unknown, link_of, parse_message
from piyasad.commands.verify import row as said_row
from piyasad.commands.view import View, look
from piyasad.language.fingerprint import fingerprint
from piyasad.model import Message
from piyasad.privacy.erase import PROMPTS
from piyasad.privacy.mask import Masker
from piyasad.privacy.names import NameBook
from piyasad.store.interface import Store
from piyasad.store.people import Evidence

SOURCES: Final = ("facts", "headlines", "news", "memories", "sources", "angle")
"""What of a trace says on what the line rests …"""

GUARDS: Final = ("verdicts", "suspect", "rewrites")
"""… what the guards said of it …"""

MASKS: Final = ("masked", "masks")
"""… and what was masked on its way to the model."""

_NUMBER: Final = re.compile(r"-?\d{5,20}")


def evidence_of(config: Path, data_dir: Path | None, dsn: str | None, line: str, chat_id: int | None) -> dict[str, Any]:
    """What is known of a line: `line`, `answers`, `said`, `notice`, `turn` (each null where nothing is), `zone`.

    Raises:
        BadArgument: it is neither an id nor a link that can be read.
        Unknown: it is not known (any longer).
        ConfigError: the configuration is broken and nothing else leads to a database.
        NoDaemon: no daemon's database can be reached.
    """
    sought = parse_message(line, chat_id)
    place = find(config, data_dir, dsn, os.environ)

    async def read(store: Store) -> dict[str, Any]:
        return await evidence(store, await look(store, place.loaded, os.environ), sought)

    return asyncio.run(place.look(read))


async def evidence(store: Store, view: View, sought: int | Link) -> dict[str, Any]:
    """See `evidence_of`."""
    message_id = sought if isinstance(sought, int) else await _id_of(store, sought)
    found = await store.evidence(message_id) if message_id is not None else None
    if found is None:
        said = await store.saying(message_id) if message_id is not None else None
        if said is None:
            raise Unknown("no such line is known: the ledger does not hold it (any longer), and no bot of ours said it")
        gone = dict.fromkeys(("line", "answers", "notice", "turn"))
        return {"zone": view.zone.key, **gone, "said": said_row(view, said) | {"fingerprint": said.hash.hex()}}
    chat = next((row for row in await store.chats() if row.id == found.message.chat_id), None)
    masks = Masks(found, {row.username: row.name for row in view.rows})
    return {
        "zone": view.zone.key,
        "line": _line(view, found, masks),
        "answers": _message(view, found.target, masks),
        "said": None if found.said is None else _said(view, found),
        "notice": {
            "before": _message(view, found.notice, masks),
            "known_posted": link_of(chat.id, chat.notice_message_id) or chat.notice_message_id if chat else None,
            "at": view.time(chat.notice_at) if chat else None,
        },
        "turn": _turn(view, found, masks),
    }


def flat(told: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    """The evidence as rows: part, key, value. What is empty is left out."""
    for part, value in told.items():
        rows = value.items() if isinstance(value, dict) else [("", value)]
        for key, item in rows:
            if isinstance(item, dict):
                yield from (
                    (part, f"{key}.{inner}", each) for inner, each in item.items() if each not in (None, "", [])
                )
            elif item not in (None, "", []):
                yield part, key, item


class Masks:
    """People as "Üye n", numbered as they first wrote in the chat; what else identifies them as prompts have it."""

    def __init__(self, found: Evidence, bots: Mapping[str, str]) -> None:
        book = NameBook()
        book.bots(bots)
        for user_id, name, handle in found.people:
            book.heard(user_id, name, handle)
        self._ids = {str(user_id) for user_id, _, _ in found.people}
        self._masker = Masker(book)

    def author(self, message: Message) -> str:
        """Who said it: a bot's name, or a member's number."""
        return message.author if message.user_id is None else self._masker.book.alias(message.user_id, message.author)

    def text(self, text: str) -> str:
        """A text without names, handles, ids and numbers of people."""
        return self._masker.text(_NUMBER.sub(lambda found: "Üye" if found[0] in self._ids else found[0], text))

    def value(self, value: Any) -> Any:
        """The same for JSON."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return "Üye" if str(value) in self._ids else value


async def _id_of(store: Store, link: Link) -> int | None:
    place = link.chat_id or 0, link.telegram_id
    line = await store.message_at(*place)
    if line is not None:
        return line.id
    said = await store.saying_at(*place)
    return said.message_id if said is not None else None


def _line(view: View, found: Evidence, masks: Masks) -> dict[str, Any]:
    message = found.message
    return {
        "id": message.id,
        "author": masks.author(message),
        "bot_id": message.bot_id,
        "chat": message.chat_id,
        "link": link_of(message.chat_id, message.telegram_id),
        "kind": str(message.kind),
        "text": masks.text(message.text),
        "state": found.state,
        "reason": masks.text(found.reason),
        "stored_at": view.time(found.claimed_at),
        "sent_at": view.time(found.sent_at),
    }


def _said(view: View, found: Evidence) -> dict[str, Any] | None:
    if found.said is None:
        return None
    whole = fingerprint(found.message.text) == found.said.hash
    return {
        "at": view.time(found.said.at),
        "fingerprint": found.said.hash.hex(),
        "text": "as it was sent" if whole else "changed since: somebody whom it named or quoted was forgotten",
    }


def _message(view: View, message: Message | None, masks: Masks) -> dict[str, Any] | None:
    if message is None:
        return None
    return {
        "id": message.id,
        "author": masks.author(message),
        "at": view.time(message.at),
        "link": link_of(message.chat_id, message.telegram_id),
        "text": masks.text(message.text),
    }


def _turn(view: View, found: Evidence, masks: Masks) -> dict[str, Any] | None:
    turn = found.turn
    if turn is None:
        return None
    detail = masks.value(dict(turn.detail))
    sorted_out = {*SOURCES, *GUARDS, *MASKS, *PROMPTS}
    return {
        "id": turn.id,
        "at": view.time(turn.at),
        "intent": turn.intent,
        "outcome": turn.outcome,
        "sources": {key: detail[key] for key in SOURCES if key in detail},
        "guards": {key: detail[key] for key in GUARDS if key in detail},
        "masks": {key: detail[key] for key in MASKS if key in detail},
        "prompt": {key: detail[key] for key in sorted(PROMPTS) if key in detail},
        "detail": {key: item for key, item in detail.items() if key not in sorted_out},
    }

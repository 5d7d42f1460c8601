"""The one place that masks: what a member wrote, and who wrote it, before any of it leaves for a provider.

A request comes as parts; the gateway's door asks a `Masker`, one for each chat, for the text that may go. What it masked
it remembers by the text, as long as the chat's book of names stays the same. `reveal` turns a completion's "Üye 2" back.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from piyasad.model import Message
from piyasad.privacy import contacts
from piyasad.privacy.contacts import PLACEHOLDERS
from piyasad.privacy.digits import Find
from piyasad.privacy.harmony import reharmonise
from piyasad.privacy.names import NameBook
from piyasad.privacy.people import members
from piyasad.privacy.plain import folded, plain

REMEMBERED: Final = 1024
"""Masked texts kept for one chat; the oldest go first."""

SOMEBODY: Final = "arkadaş"
"""Who is meant by an alias that nobody bears, or whose name may not be shown."""

SHOWN_MOST: Final = 40
"""Longer display names are not said in a line."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a request.

    `ours`: our own words (instructions, labels, fences), which go as they are. Else it is what somebody wrote, or what
    was made of it. With `author` it is a line of the room, and its author is put before it: a bot's name, or a member's
    alias by `user_id`.
    """

    text: str
    ours: bool = False
    author: str = ""
    user_id: int | None = None
    is_bot: bool = False


class Masker:
    """One chat's. Pure but for its memory; never shared between chats."""

    def __init__(self, book: NameBook, *, remembered: int = REMEMBERED) -> None:
        self.book = book
        self._remembered = remembered
        self._version = book.version
        self._known: dict[str, str] = {}
        self._alias = _alias_pattern(book.people_as)

    def request(self, parts: Iterable[Part]) -> str:
        """All parts together, as a provider may see them."""
        return "".join([self.part(part) for part in parts])

    def part(self, part: Part) -> str:
        """One part, its author before it."""
        if part.ours:
            return part.text
        text = self.text(part.text)
        if not part.author and part.user_id is None:
            return text
        return f"{part.author if part.is_bot else self.book.alias(part.user_id, part.author)}: {text}"

    def text(self, text: str) -> str:
        """What somebody wrote, without members' names and without what identifies them."""
        if self._version != self.book.version:
            self._known.clear()
            self._version = self.book.version
        masked = self._known.get(text)
        if masked is None:
            masked = self._masked(text)
            if len(self._known) >= self._remembered:
                del self._known[next(iter(self._known))]
            self._known[text] = masked
        return masked

    def reveal(self, text: str) -> str:
        """A completion for the group: "Üye 2'ye" with the member's name, its ending in the harmony of that name."""
        if not self._alias.search(text):
            return text

        def name(match: re.Match[str]) -> str:
            shown = self._shown(int(match[1]))
            return shown + ("'" + reharmonise(shown, match[2]) if match[2] else "")

        return self._alias.sub(name, text)

    def shows_mask(self, text: str) -> bool:
        """Whether a line holds what the group is never to see: an alias or a placeholder."""
        return self._alias.search(text) is not None or shows_placeholder(text)

    def forget(self, user_id: int) -> None:
        """Neither the member's names nor any text that was masked with them stay here."""
        self.book.forget(user_id)
        self._known.clear()

    def _masked(self, text: str) -> str:
        text = plain(text)
        low = folded(text)
        hidden = contacts.hide(text, low, self._is_name, ours=self.book.ours)
        if hidden is not text:
            low = folded(hidden)
        found = list(members(hidden, low, self.book))
        return _replaced(hidden, found) if found else hidden

    def _is_name(self, word: str) -> bool:
        """Whether what stands behind an @ is a member's handle or name, to be masked as whose it is."""
        return self.book.lookup(word) is not None or any(entry for _, entry in self.book.rows(word))

    def _shown(self, number: int) -> str:
        """The name that the group may read: no link, no number, no wall of signs is carried into a bot's line by it."""
        name = " ".join(plain(self.book.name_of(number) or "").split())
        if not any(map(str.isalpha, name)) or len(name) > SHOWN_MOST or mask(name) != name:
            return SOMEBODY
        return name


def shows_placeholder(text: str) -> bool:
    """Whether a text holds a placeholder of the mask, in whatever case."""
    if "[" not in text:
        return False
    low = folded(text)
    return any(folded(placeholder) in low for placeholder in PLACEHOLDERS)


def mask(text: str, ours: Collection[str] = ()) -> str:
    """A text without what identifies somebody by its form; names stay. `ours`: handles (lower case) that stay."""
    text = plain(text)
    return contacts.hide(text, folded(text), lambda word: False, ours=ours)


def _replaced(text: str, finds: Iterable[Find]) -> str:
    parts: list[str] = []
    done = 0
    for start, end, alias in finds:
        parts += (text[done:start], alias)
        done = end
    return "".join((*parts, text[done:]))


def _alias_pattern(people_as: str) -> re.Pattern[str]:
    """ "Üye 2", "üye2", "ÜYE #2'ye", "Uye 2ye": as models write it."""
    head, _, tail = people_as.partition("{n}")
    fold = str.maketrans(
        {"ü": "[üÜuU]", "ö": "[öÖoO]", "ş": "[şŞsS]", "ç": "[çÇcC]", "ğ": "[ğĞgG]", "i": "[iİıI]", "ı": "[iİıI]"}
    )

    def loose(part: str) -> str:
        return re.escape(part.strip().lower()).translate(fold).replace(r"\ ", r"\s*")

    return re.compile(
        rf"(?<!\w){loose(head)}[\s#._-]{{0,3}}(\d{{1,6}}){loose(tail)}(?:['’]?([^\W\d_]{{1,12}}))?(?!\w)", re.IGNORECASE
    )


class Faces:
    """Who is "Üye n" in one prompt: people are numbered in the order in which they speak in it."""

    def __init__(self, lines: Iterable[Message], template: str) -> None:
        self._template = template
        self._number: dict[int | None, int] = {}
        self._author: dict[int, str] = {}
        for line in lines:
            self.of(line)

    def of(self, line: Message) -> str:
        """The name under which a model sees the author: a bot's own, or "Üye n"."""
        if not line.is_person:
            return line.author
        number = self._number.setdefault(line.user_id, len(self._number) + 1)
        self._author.setdefault(number, line.author)
        return self._template.replace("{n}", str(number))

    def hide(self, text: str) -> str:
        """The text with the names of the people seen so far replaced (a bot may have called one by name)."""
        for number, author in self._author.items():
            if len(author) >= 3:
                text = re.sub(rf"(?<!\w){re.escape(author)}(?!\w)", self._template.replace("{n}", str(number)), text)
        return text

    def reveal(self, text: str) -> str:
        """A model's "Üye 2'ye" becomes the person's name again, its suffix in the harmony of that name."""
        pattern = re.escape(self._template).replace(r"\{n\}", r"(\d+)") + r"(?:['’](\w+))?"

        def name(match: re.Match[str]) -> str:
            author = self._author.get(int(match[1]))
            if author is None:
                return "arkadaş"
            return author + ("'" + reharmonise(author, match[2]) if match[2] else "")

        return re.sub(pattern, name, text)

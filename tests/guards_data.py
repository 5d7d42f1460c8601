"""The lines that guards are tried with, from `tests/data`: what must stop, what must pass, what nearly stops."""

from __future__ import annotations

import re
from pathlib import Path

from piyasad.chat.window import Line, Room
from piyasad.config.load import default_config, load
from piyasad.guards.case import Case
from piyasad.language.text import fold
from piyasad.personas.profile import Persona
from piyasad.personas.prompt import system_text
from tests.cases import CHAT, line

DATA = Path(__file__).parent / "data"
STOP, PASS, NEAR = "-", "+", "~"

ROOM = (
    ("Deniz", "Arkadaşlar dün akşam bilançoyu okudum, kafam karıştı"),
    ("Ayşe Scalper", "Hacim ince, ben bugün kenardayım"),
    ("Kemal", "Eşimle konuştuk, ev kredisini kapatmayı düşünüyoruz"),
    ("Mehmet Yatırımcı", "Tohumu eken ertesi sabah biçmez, acele yok"),
    ("Deniz", "Peki temettü tarihini nereden öğreniyorsunuz"),
    ("Kemal", "Benim param bankada duruyor, ne yapsam bilemedim"),
)


def lines(name: str) -> dict[str, list[str]]:
    """The lines of a file by their sign, in its order; "\\u200e" and its like stand for the sign itself."""
    found: dict[str, list[str]] = {STOP: [], PASS: [], NEAR: []}
    for row in (DATA / name).read_text(encoding="utf-8").splitlines():
        if row[:2] in {"- ", "+ ", "~ "}:
            found[row[0]].append(re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), row[2:]))
    return found


def held_out(rows: list[str]) -> list[str]:
    """Every second line: no rule was made with an eye on it."""
    return rows[1::2]


def personas() -> dict[str, Persona]:
    """The shipped personas by first name."""
    bots = load(default_config(), env={}).bots
    return {bot.name.split()[0]: Persona.of(bot, number) for number, bot in enumerate(bots, 1)}


def room(said: tuple[tuple[str, str], ...] = ROOM) -> tuple[Line, ...]:
    """A room in which members and the shipped bots spoke."""
    bots = {persona.name: persona for persona in personas().values()}
    made = Room(CHAT)
    for number, (author, text) in enumerate(said, 1):
        who = {"bot": bots[author]} if author in bots else {"author": author, "user_id": 500 + len(author)}
        made.add(line(number, text, **who))
    return made.view().lines


def shipped_case(text: str, name: str = "Ali", seen: tuple[Line, ...] = (), **keys: object) -> Case:
    """A case of a shipped persona, with its prompt."""
    all_ = personas()
    me = all_[name]
    roster = {persona.bot_id: persona for persona in all_.values()}
    return Case(text, me, roster, seen, {}, (), 0.0, fold(system_text(me)), **keys)  # type: ignore[arg-type]

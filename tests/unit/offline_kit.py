"""A room of the four shipped personas that only the offline provider speaks in, for its tests. Seeded, no I/O."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from piyasad.config import BotSettings
from piyasad.config.load import default_config, load
from piyasad.model import IntentKind, Length
from piyasad.providers.interface import Brief
from piyasad.providers.offline.grammar import Grammar

TOPICS = ("BIST", "FX", "Kripto", "Makro")
HISTORY = 20

PEOPLE = (
    "Selam herkese", "Dolar neden bu kadar sakin?", "GARAN için ne düşünüyorsunuz?", "Temettü nedir?",
    "Bugün zarar ettim ya", "Enflasyon ne zaman düşer?", "teşekkürler", "BTC alınır mı?", "THYAO mu PGSUS mu daha iyi",
    "yeni başladım, nereden başlamalıyım", "nasılsınız", "altın herkesi üzecek bence", "Emlakta durum ne",
    "EREGL kaç olur", "bilanço nasıl okunur", "haklısın bence de", "saçma bence bu dediğin", "borsa yükseldi, süper",
    "kim izliyor ASELS'i", "hava da ne güzel bugün",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """A line with the brief it was written from."""

    brief: Brief
    text: str


def bots() -> Mapping[str, BotSettings]:
    """The shipped personas by name."""
    return {bot.name: bot for bot in load(default_config(), env={}).bots}


def brief(bot: BotSettings, intent: IntentKind = IntentKind.TOPIC, topic: str = "BIST", seed: int = 1) -> Brief:
    """A bare brief of a bot; tests replace what they care about."""
    persona = bot.persona
    return Brief(
        bot_id=1,
        name=bot.name,
        persona=bot.name,
        tone=persona.tone,
        risk_profile=persona.risk_profile,
        watchlist=persona.watchlist,
        pet_phrases=persona.style.pet_phrases,
        stances=tuple((stance.topic, stance.text, stance.side) for stance in bot.stances),
        examples=persona.examples,
        address=persona.style.address,
        intent=intent,
        topic=topic,
        length=Length.SHORT,
        ask=False,
        seed=seed,
    )


def answering(base: Brief, author: str, text: str, *, person: bool = True, seed: int = 1) -> Brief:
    """The brief of an answer to somebody."""
    kind = IntentKind.ANSWER if person else IntentKind.REPLY
    history = (*base.history, (author, text))
    return replace(
        base,
        intent=kind,
        target_author=author,
        target_text=text,
        target_is_person=person,
        history=history[-HISTORY:],
        seed=seed,
    )


def talk(grammar: Grammar, count: int, seed: int) -> list[Said]:
    """A conversation: topics change every ten lines, every ninth line answers a person, intents as in a live room."""
    rng = random.Random(seed)
    named = bots()
    history: list[tuple[str, str]] = []
    said: list[Said] = []
    while len(said) < count:
        last = history[-1][0] if history else ""
        name = rng.choice([name for name in named if name != last])
        made = replace(
            brief(named[name], _intent(rng, history), TOPICS[(len(said) // 10) % len(TOPICS)], rng.getrandbits(32)),
            length=rng.choices(list(Length), (0.55, 0.35, 0.10))[0],
            ask=rng.random() < (0.5 if name.startswith("Zeynep") else 0.25),
            history=tuple(history[-HISTORY:]),
        )
        if len(said) % 9 == 8:
            history.append(("Deniz", rng.choice(PEOPLE)))
            made = answering(replace(made, history=tuple(history[-HISTORY:-1])), *history[-1], seed=made.seed)
        elif made.intent is IntentKind.REPLY:
            made = _reply(made, history, rng)
        said.append(Said(made, grammar.write(made)))
        history.append((name, said[-1].text))
    return said


def _intent(rng: random.Random, history: Sequence[tuple[str, str]]) -> IntentKind:
    if not history:
        return IntentKind.TOPIC
    return rng.choices((IntentKind.REPLY, IntentKind.CONTINUE, IntentKind.TOPIC), (5, 3, 2))[0]


def _reply(made: Brief, history: Sequence[tuple[str, str]], rng: random.Random) -> Brief:
    others = [line for line in history[-4:] if line[0] not in {made.name, "Deniz"}]
    if not others:
        return replace(made, intent=IntentKind.CONTINUE)
    author, text = others[-1]
    handle = "_".join(author.lower().split()) + "_bot" if rng.random() < 0.1 else ""
    return replace(made, target_author=author, target_text=text, mention="ali_hoca_bot" if handle else "")

"""Inbound: a person's run of messages is one stimulus, and exactly one bot is called to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from piyasad.bots.inbound import RUN_SECONDS, STALE_SECONDS, Inbound
from piyasad.bots.state import LiveState
from piyasad.clock import LoopClock
from piyasad.config import Settings
from piyasad.model import Kind, Message, Received, Stimulus
from piyasad.privacy import texts
from piyasad.store.interface import Store
from tests.cases import CHAT
from tests.virtual import run_virtual

ALI, AYSE = 7100000001, 7100000002
SETTINGS = Settings.model_validate(
    {
        "chats": [{"id": CHAT, "topics": ["Makro", "Kripto"]}],
        "bots": [
            {
                "name": "Ali Hoca",
                "username": "ali_hoca_bot",
                "token_env": "ALI",
                "chats": [CHAT],
                "persona": {"watchlist": ["enflasyon", "TCMB"]},
            },
            {
                "name": "Ayşe Scalper",
                "username": "ayse_scalper_bot",
                "token_env": "AYSE",
                "chats": [CHAT],
                "persona": {"watchlist": ["BTCUSDT"]},
            },
        ],
    }
)
ENV = {"ALI": f"{ALI}:{'a' * 35}", "AYSE": f"{AYSE}:{'b' * 35}"}


class Rows:
    """The store's part in it, in memory."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, int], int] = {}
        self.stimuli: dict[tuple[int, int, int], str] = {}

    async def receive(self, rows: list[Received]) -> list[Message | None]:
        return [self._one(row) for row in rows]

    def _one(self, row: Received) -> Message | None:
        if (row.chat_id, row.telegram_id) in self.seen:
            return None
        number = self.seen[row.chat_id, row.telegram_id] = len(self.seen) + 1
        return Message(
            number,
            row.chat_id,
            None,
            row.author,
            Kind.PERSON,
            row.text,
            row.at,
            telegram_id=row.telegram_id,
            user_id=row.user_id,
            reply_to=row.reply_to,
        )

    async def open_stimulus(self, chat: int, telegram_id: int, slot: int, message_id: int, at: float) -> bool:
        return self.stimuli.setdefault((chat, telegram_id, slot), f"open {message_id}") == f"open {message_id}"

    async def take_stimulus(self, chat: int, telegram_id: int, slot: int, bot_id: int) -> bool:
        key = (chat, telegram_id, slot)
        if not self.stimuli[key].startswith("open"):
            return False
        self.stimuli[key] = f"taken {bot_id}"
        return True

    async def close_stimulus(self, chat: int, telegram_id: int, slot: int, state: str) -> None:
        self.stimuli[chat, telegram_id, slot] = state


class Scene:
    """A room with two bots of ours, and what they were woken for."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.rows = Rows()
        self.woken: list[tuple[int, Stimulus]] = []
        self.live = LiveState(SETTINGS, (1, 1), 1)
        self.live.set(SETTINGS, ENV)
        for bot in self.live.bots.values():
            bot.held = True
        store = cast(Store, self.rows)
        self.inbound = Inbound(
            self.live, store, clock, lambda bot, stimulus: self.woken.append((bot, stimulus)), lambda chat: None
        )
        self._number = 0

    async def say(self, text: str, *, user: int = 501, age: float = 0.0, reply_to: int | None = None) -> int:
        self._number += 1
        said = Received(CHAT, self._number, user, f"Üye{user}", text, self.clock.wall() - age, reply_to=reply_to)
        await self.inbound.received(said)
        return self._number

    async def rest(self, seconds: float = RUN_SECONDS + 0.5) -> None:
        await asyncio.sleep(seconds)
        await self.inbound.settled()


def scene(work: Callable[[Scene], Awaitable[Any]]) -> Scene:
    async def main(clock: LoopClock) -> Scene:
        made = Scene(clock)
        await work(made)
        return made

    return run_virtual(main)


def test_a_run_of_messages_is_one_stimulus_for_its_last_line() -> None:
    async def work(here: Scene) -> None:
        await here.say("Ali Hoca bir şey soracağım")
        await asyncio.sleep(2)
        await here.say("@ali_hoca_bot enflasyon düşer mi?")
        await asyncio.sleep(1)
        assert here.woken == []
        await here.rest()

    found = scene(work).woken
    assert [(bot, each.telegram_id, each.slot) for bot, each in found] == [(ALI, 2, ALI)]


def test_the_call_comes_within_a_second_of_the_runs_end() -> None:
    async def work(here: Scene) -> None:
        await here.say("@ali_hoca_bot selam")
        await here.rest(RUN_SECONDS + 0.1)
        assert here.woken

    scene(work)


def test_a_question_to_nobody_goes_to_the_bot_it_suits() -> None:
    async def work(here: Scene) -> None:
        await here.say("sizce enflasyon düşer mi?")
        await here.rest()
        await here.say("BTCUSDT ne olur sizce?", user=502)
        await here.rest()

    assert [(bot, each.slot) for bot, each in scene(work).woken] == [(ALI, 0), (AYSE, 0)]


@pytest.mark.parametrize("text", ["bugün hava güzel", "@veli_43 sence dolar ne olur?"])
def test_what_asks_nothing_of_us_calls_nobody_and_may_be_remarked_on(text: str) -> None:
    async def work(here: Scene) -> None:
        number = await here.say(text)
        assert number in here.live.chats[CHAT].claimed  # until the run has ended nobody may cut in
        await here.rest()
        assert number not in here.live.chats[CHAT].claimed

    assert scene(work).woken == []


def test_a_redelivery_and_an_edit_are_answered_once() -> None:
    async def work(here: Scene) -> None:
        await here.say("@ali_hoca_bot selam")
        again = Received(CHAT, 1, 501, "Üye501", "@ali_hoca_bot selam", here.clock.wall())
        await here.inbound.received(again)
        await here.rest()
        here.rows.edit = lambda *given: asyncio.sleep(0)  # type: ignore[attr-defined]
        await here.inbound.edited(CHAT, 1, "@ali_hoca_bot selam, nasılsın?")
        await here.rest()
        assert here.live.chats[CHAT].room.view().lines[-1].message.text.endswith("nasılsın?")

    assert len(scene(work).woken) == 1


def test_a_stale_message_is_kept_and_not_answered() -> None:
    async def work(here: Scene) -> None:
        await here.say("@ali_hoca_bot selam", age=STALE_SECONDS + 1)
        await here.rest()
        assert len(here.live.chats[CHAT].room) == 1

    assert scene(work).woken == []


def test_only_one_bot_takes_a_stimulus() -> None:
    async def work(here: Scene) -> None:
        await here.say("sizce enflasyon düşer mi?")
        await here.rest()
        stimulus = here.woken[0][1]
        assert await here.inbound.take(stimulus, ALI)
        assert not await here.inbound.take(stimulus, AYSE)
        await here.inbound.close(stimulus, "answered")

    assert list(scene(work).rows.stimuli.values()) == ["answered"]


@pytest.mark.parametrize("text", ["@ali_hoca_bot sen bot musun?", "Ali Hoca gerçek misin?"])
def test_who_asks_if_it_is_a_bot_gets_the_fixed_truth(text: str) -> None:
    async def work(here: Scene) -> None:
        await here.say(text)
        await here.rest()
        bot, stimulus = here.woken[0]
        assert here.inbound.fixed_answer(stimulus, here.live.bots[bot]) in texts.HONEST

    scene(work)


def test_the_privacy_command_is_answered_by_one() -> None:
    async def work(here: Scene) -> None:
        await here.say("/gizlilik@ali_hoca_bot")
        await here.rest()
        ((bot, stimulus),) = here.woken
        text = here.inbound.fixed_answer(stimulus, here.live.bots[bot])
        assert text is not None
        assert "30 gün" in text

    scene(work)


def test_after_six_answers_one_polite_line_then_silence() -> None:
    async def work(here: Scene) -> None:
        fixed = []
        for number in range(9):
            await here.say(f"@ali_hoca_bot soru {number}?")
            await here.rest()
            if len(here.woken) > number:
                bot, stimulus = here.woken[-1]
                fixed.append(here.inbound.fixed_answer(stimulus, here.live.bots[bot]))
                await here.inbound.take(stimulus, bot)
                await here.inbound.close(stimulus, "answered")
        assert fixed == [None] * 6 + [texts.POLITE_LIMIT]

    assert len(scene(work).woken) == 7


def test_a_parked_bot_is_not_called() -> None:
    async def work(here: Scene) -> None:
        here.live.bots[ALI].parked = "token"
        await here.say("@ali_hoca_bot selam")
        await here.rest()

    assert scene(work).woken == []


@pytest.mark.parametrize("claimed", [False, True])
def test_a_question_that_no_shard_claims_is_claimed_by_another(*, claimed: bool) -> None:
    async def work(here: Scene) -> None:
        here.live.shard = (2, 2)
        here.live.bots[ALI].held = False  # the best bot is another shard's, which may see the room differently
        number = await here.say("sizce enflasyon düşer mi?")
        if claimed:
            here.rows.stimuli[CHAT, number, 0] = f"taken {ALI}"
        await here.rest(RUN_SECONDS + 5)

    assert [bot for bot, _ in scene(work).woken] == ([] if claimed else [AYSE])

"""Who sees what in a group: privacy mode, administrators, bot-to-bot mode, commands, mentions, replies."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from piyasad.sandbox.visibility import Said, entities, hears_all, hears_bots, readers

PERSON = 501
SPEAKER, LISTENER, THIRD = 1, 2, 3


@dataclass
class Bot:
    """What visibility asks of a bot."""

    id: int
    username: str
    privacy: bool = True
    bot_to_bot: bool = False


def seen(said: Said, *bots: Bot, status: str = "member", either: bool = False) -> list[int]:
    return readers(said, {bot.id: status for bot in bots}, {bot.id: bot for bot in bots}, either=either)


@pytest.mark.parametrize("author", ["person", "bot"])
@pytest.mark.parametrize("privacy", [True, False])
@pytest.mark.parametrize("status", ["member", "administrator", "kicked", "left"])
@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("either", [True, False])
def test_the_whole_matrix(author: str, privacy: bool, status: str, mode: bool, either: bool) -> None:
    bot = Bot(LISTENER, "dinleyen_bot", privacy, mode)
    said = Said(PERSON if author == "person" else SPEAKER, author == "bot", "Dolar ne olur?")
    inside, admin = status in {"member", "administrator"}, status == "administrator"
    if author == "person":
        expected = inside and (admin or not privacy)
    elif either:
        expected = mode and inside and (admin or not privacy)
    else:
        expected = mode and admin and not privacy
    assert (seen(said, bot, status=status, either=either) == [LISTENER]) is expected


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("text", ["Merhaba", "@konusan_bot", "/start@konusan_bot"])
def test_a_bot_never_sees_its_own(mode: bool, text: str) -> None:
    speaker = Bot(SPEAKER, "konusan_bot", privacy=False, bot_to_bot=mode)
    said = Said(SPEAKER, by_bot=True, text=text, answered=SPEAKER)
    assert seen(said, speaker, status="administrator", either=True) == []


A, B, OPEN = Bot(1, "ali_hoca_bot"), Bot(2, "ayse_bot"), Bot(3, "acik_bot", privacy=False)


@pytest.mark.parametrize(
    ("text", "answered", "last_bot", "expected"),
    [
        ("herkese selam", None, 1, []),
        ("@ali_hoca_bot sence?", None, None, [1]),
        ("Sence @ALI_HOCA_BOT?", None, None, [1]),
        ("a@ali_hoca_bot.com", None, None, []),
        ("@ali_hoca_botlar", None, None, []),
        ("@ali_hoca_bot @ayse_bot ikiniz?", None, None, [1, 2]),
        ("katılıyorum", 2, None, [2]),
        ("katılıyorum", PERSON, None, []),
        ("@ali_hoca_bot ona sor", 2, None, [2]),
        ("/gizlilik@ayse_bot", 1, None, [1]),
        ("/gizlilik", None, 2, [2]),
        ("/gizlilik", None, None, []),
        ("/gizlilik@ali_hoca_bot", None, 2, [1]),
        ("/gizlilik@baska_bot", None, 2, []),
        ("fiyat 3/4 oldu", None, 2, []),
        ("https://ornek.com/gizlilik", None, 2, []),
    ],
)
def test_with_privacy_mode_a_bot_gets_only_what_is_meant_for_it(
    text: str, answered: int | None, last_bot: int | None, expected: list[int]
) -> None:
    said = Said(PERSON, False, text, answered, last_bot)
    assert seen(said, A, B) == expected
    assert seen(said, A, B, OPEN) == [*expected, 3], "privacy off hears all of it"


def test_a_mention_does_not_reach_a_kicked_bot_or_a_bot_elsewhere() -> None:
    said = Said(PERSON, False, "@ali_hoca_bot @ayse_bot")
    assert readers(said, {1: "kicked"}, {1: A, 2: B}) == []


def test_other_bots_mentions_and_replies_need_the_mode_too() -> None:
    assert seen(Said(SPEAKER, True, "@ayse_bot ne dersin?", answered=2), B) == []


@pytest.mark.parametrize("status", ["left", "kicked"])
def test_who_is_not_inside_hears_nothing(status: str) -> None:
    bot = Bot(1, "acik_bot", privacy=False, bot_to_bot=True)
    assert not hears_all(bot, status)
    assert not hears_bots(bot, status, either=True)


def test_entities_count_in_utf_16_units() -> None:
    assert entities("📈 @ali_hoca_bot ve /gizlilik@ayse_bot") == [
        {"type": "mention", "offset": 3, "length": 13},
        {"type": "bot_command", "offset": 20, "length": 18},
    ]
    assert entities("düz bir satır") == []

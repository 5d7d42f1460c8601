"""Whom a member's message speaks to, and who answers a question to nobody."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Literal

import pytest

from piyasad.behaviour import address
from piyasad.chat.window import Line, RoomView
from piyasad.model import Mention
from tests.unit.room_kit import NOW, Talk, persona, roster

FOUR = roster()


def _said(text: str, *, to_bot: int | None = None, to_person: bool = False, member: str = "Cem") -> tuple[Line, Talk]:
    talk = Talk()
    talk.person("Herkese günaydın", user=77, name=member)
    to = talk.bot(to_bot) if to_bot else talk.person(user=88, name="Deniz") if to_person else None
    return talk.line(talk.person(text, to=to)), talk


def _addressed(text: str, **keys: object) -> tuple[int, ...]:
    line, talk = _said(text, **keys)  # type: ignore[arg-type]
    return address.addressed(line, talk.room.view(NOW), FOUR)


@pytest.mark.parametrize(
    ("text", "bots"),
    [
        ("@mehmet_bot ne dersin", (1,)),
        ("@Mehmet_Bot @ALI_bot siz?", (1, 3)),
        ("mehmet yatırımcı sence?", (1,)),
        ("MEHMET YATIRIMCI'ya katılıyorum", (1,)),
        ("Ali Hoca'nın dediği doğru", (3,)),
        ("Ali, dolar ne olur?", (3,)),
        ("ali dolar ne olur", (3,)),
        ("Ali hocam ne düşünüyorsun", (3,)),
        ("Selam Ayşe!", (2,)),
        ("dolar ne olur ali", (3,)),
        ("Ali'ye soralım", (3,)),
        ("Mehmet'in fikri ne?", (1,)),
        ("mehmetin yorumu önemli", (1,)),
        ("Zeynep sen nasılsın", (4,)),
        ("Teşekkürler Mehmet.", (1,)),
        ("Ayşe: btc ne olur", (2,)),
    ],
)
def test_these_speak_to_a_bot(text: str, bots: tuple[int, ...]) -> None:
    assert _addressed(text) == bots


@pytest.mark.parametrize(
    "text",
    [
        "Ali dün Ankara'ya gitmiş.",
        "Bugün piyasa sakin",
        "Dün Mehmet ile konuştuk.",
        "Alıcılar geri geldi",
        "Yalı fiyatları ne oldu?",
        "@cem_12 Ali ne diyor?",
        "Dün Zeynep bir film izledi.",
    ],
)
def test_these_do_not(text: str) -> None:
    assert _addressed(text) == ()


def test_a_reply_to_a_bots_line_speaks_to_it_and_a_first_name_in_it_does_not() -> None:
    assert _addressed("katılmıyorum", to_bot=2) == (2,)
    assert _addressed("Ali, sen ne dersin?", to_bot=2) == (2,)
    assert _addressed("@ali_bot sen ne dersin?", to_bot=2) == (2, 3)


def test_a_first_name_that_a_member_bears_or_in_a_reply_to_somebody_else_does_not_count() -> None:
    assert _addressed("Ali, dolar ne olur?", member="Ali Veli") == ()
    assert _addressed("Ali, dolar ne olur?", to_person=True) == ()
    assert _addressed("Ali Hoca, dolar ne olur?", member="Ali Veli") == (3,)


def test_a_bots_line_speaks_to_nobody() -> None:
    talk = Talk()
    line = talk.line(talk.bot(1, "Ali, dolar ne olur?"))
    view = talk.room.view(NOW)
    assert address.addressed(line, view, FOUR) == ()
    assert not address.for_anybody(line, FOUR, ())
    assert not address.is_identity_question(line)


@pytest.mark.parametrize(
    ("text", "bot"),
    [
        ("Dolar ne olur sizce?", 3),
        ("THYAO alınır mı", 1),
        ("Bitcoin daha düşer mi?", 2),
        ("Enflasyon kaç gelir?", 3),
        ("Borsa neden düşüyor?", 1),
    ],
)
def test_the_best_match_answers_a_question_to_nobody(text: str, bot: int) -> None:
    line, talk = _said(text)
    assert address.for_anybody(line, FOUR, ())
    assert address.best_bot(line, talk.room.view(NOW), FOUR) == bot


def test_among_equals_the_longest_silent_answers_and_busy_ones_last() -> None:
    talk = Talk()
    for bot_id, ago in ((4, 50), (3, 300), (1, 40), (2, 30)):
        talk.bot(bot_id, "Bence böyle.", ago=ago)
    line = talk.line(talk.person("Nasılsınız?", ago=1))
    view = talk.room.view(NOW)
    assert address.best_bot(line, view, FOUR) == 3
    assert address.best_bot(line, view, FOUR, busy={3}) == 4
    assert address.best_bot(line, view, {}) is None


@pytest.mark.parametrize("text", ["Dolar düştü.", "/gizlilik nedir?", "@cem_12 dolar ne olur?"])
def test_commands_statements_and_questions_to_members_are_not_for_anybody(text: str) -> None:
    line, _ = _said(text)
    assert not address.for_anybody(line, FOUR, ())


def test_a_question_to_a_bot_or_in_a_reply_to_a_member_is_not_for_anybody() -> None:
    line, _ = _said("Dolar ne olur?")
    assert not address.for_anybody(line, FOUR, (1,))
    line, _ = _said("Dolar ne olur?", to_person=True)
    assert not address.for_anybody(line, FOUR, ())


def test_a_member_who_asks_if_we_are_bots_is_heard() -> None:
    line, talk = _said("Ali sen bot musun?")
    assert address.is_identity_question(line)
    assert address.topic_of(line, talk.room.view(NOW)) is None
    line, talk = _said("Dolar ne olur?")
    assert address.topic_of(line, talk.room.view(NOW)) == "FX"


def test_a_name_of_one_word_is_no_full_name() -> None:
    only = {9: persona(9, "Deniz", "deniz_bot")}
    line, talk = _said("Dün denizde yüzdüm")
    assert address.addressed(line, talk.room.view(NOW), only) == ()


def _marked(text: str, *mentions: Mention, to_person: bool = False) -> tuple[Line, RoomView]:
    talk = Talk()
    to = talk.person(user=88, name="Deniz") if to_person else None
    said = talk.line(talk.person(text, to=to)).message
    room = Talk().room
    room.add(replace(said, mentions=mentions))
    view = room.view(NOW)
    return view.lines[-1], view


def test_a_text_mention_says_who_is_meant_whatever_the_words_are() -> None:
    line, view = _marked("Üstat çok haklısın vallahi", Mention(user_id=3))
    assert address.addressed(line, view, FOUR) == (3,)
    line, view = _marked("Üstat çok haklısın vallahi", Mention(user_id=3, handle="ali_bot"))
    assert address.addressed(line, view, FOUR) == (3,)
    line, view = _marked("Ayşe, sence dolar ne olur?", Mention(user_id=9555))
    assert address.addressed(line, view, FOUR) == ()
    assert not address.for_anybody(line, FOUR, ())


def test_a_mention_by_telegrams_mark_counts_and_an_at_sign_beside_it_does_not() -> None:
    line, view = _marked("@ali_bot ve @ayse_bot ne dersiniz", Mention(handle="ali_bot"))
    assert address.addressed(line, view, FOUR) == (3,)
    line, view = _marked("@cem_12 dolar ne olur?", Mention(handle="cem_12"))
    assert address.addressed(line, view, FOUR) == ()
    assert not address.for_anybody(line, FOUR, ())


@pytest.mark.parametrize(
    "text", ["destek@ali_bot.com.tr adresine yazan oldu mu?", "https://example.org/@ali_bot/yazi okudunuz mu?"]
)
def test_an_at_sign_in_an_address_or_a_link_means_nobody(text: str) -> None:
    line, talk = _said(text)
    assert address.addressed(line, talk.room.view(NOW), FOUR) == ()
    assert address.for_anybody(line, FOUR, ())


@pytest.mark.parametrize(
    "text", ["/privacy@RoseModBot", "/ban@RoseModBot Ali Hoca", "/ban Ali Hoca", "/sor@x_bot dolar ne olur?"]
)
def test_another_bots_command_is_nobodys_business(text: str) -> None:
    line, talk = _said(text)
    assert address.addressed(line, talk.room.view(NOW), FOUR) == ()
    assert not address.for_anybody(line, FOUR, ())
    order = address.command_of(line.message)
    assert order is not None
    name, _, handle = text.split()[0].lower().partition("@")
    line, view = _marked(text, Mention(command=name, handle=handle))
    assert address.command_of(line.message) == order
    assert address.addressed(line, view, FOUR) == ()
    assert not address.for_anybody(line, FOUR, ())


def test_a_command_to_a_bot_of_ours_is_its_own_even_in_a_reply_to_a_member() -> None:
    line, talk = _said("/gizlilik@Ali_Bot", to_person=True)
    assert address.command_of(line.message) == address.Command("/gizlilik", "ali_bot")
    assert address.addressed(line, talk.room.view(NOW), FOUR) == (3,)


@pytest.mark.parametrize("text", ["ve/veya bir şey", "bak /gizlilik diye komut var", "/", "/çıkış"])
def test_a_slash_is_no_command(text: str) -> None:
    line, _ = _said(text)
    assert address.command_of(line.message) is None


def test_a_first_name_that_a_member_beyond_the_window_bears_does_not_count() -> None:
    line, talk = _said("Ali, dolar ne olur?")
    assert address.addressed(line, talk.room.view(NOW), FOUR, borne={"ali"}) == ()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_decomposed_letters_name_the_same_bot(form: Literal["NFC", "NFD"]) -> None:
    assert _addressed(unicodedata.normalize(form, "Ayşe, dolar ne olur?")) == (2,)
    assert _addressed(unicodedata.normalize(form, "mehmet yatırımcı’nın görüşü")) == (1,)


def test_the_honest_answer_comes_from_the_bot_that_was_asked() -> None:
    line, talk = _said("Ali sen bot musun?")
    assert address.asked_identity(line, talk.room.view(NOW), FOUR, (3,)) == 3
    line, talk = _said("bot musunuz siz")
    assert address.asked_identity(line, talk.room.view(NOW), FOUR, ()) == 1
    talk.bot(4)
    assert address.asked_identity(line, talk.room.view(NOW), FOUR, ()) == 4
    assert address.asked_identity(line, talk.room.view(NOW), {}, ()) is None


def test_what_members_ask_each_other_is_not_asked_of_us() -> None:
    line, talk = _said("sen bot musun ya", to_person=True)
    assert address.asked_identity(line, talk.room.view(NOW), FOUR, ()) is None
    line, talk = _said("/sor@x_bot bot musun")
    assert address.asked_identity(line, talk.room.view(NOW), FOUR, ()) is None
    line, talk = _said("Dolar ne olur?")
    assert address.asked_identity(line, talk.room.view(NOW), FOUR, ()) is None

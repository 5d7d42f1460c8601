"""Clean-up takes away what models put around a line and leaves the line alone; what it cannot clean the guards stop.

The second half runs every flaw of the sandbox's small-model mode through clean-up and guards as the daemon has them.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad import guards
from piyasad.chat.window import Line, Room
from piyasad.config import Settings
from piyasad.config.load import default_config, load
from piyasad.guards.case import Case, Verdict
from piyasad.guards.chosen import guards_of
from piyasad.guards.cleanup import clean
from piyasad.guards.language import LanguageGuard
from piyasad.language.text import fold
from piyasad.model import Intent, IntentKind, Message
from piyasad.personas.profile import Persona
from piyasad.personas.prompt import Prompt
from piyasad.sandbox.llm_flaws import Scene, flaw
from piyasad.sandbox.llm_text import write
from tests.cases import CHAT, case, line
from tests.unit.offline_kit import bots
from tests.unit.test_prompt import prompt

NAMES = ("Ali Hoca", "ali_hoca_bot", "Ali")


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("<think>Önce düşüneyim.</think>Enflasyon katı.", "Enflasyon katı."),
        ("<think>Hiç kapanmayan düşünce", ""),
        ("Düşüncem bitti.</think> Kur sakin.", "Kur sakin."),
        ('"Kur sakin."', "Kur sakin."),
        ("“Kur sakin.”", "Kur sakin."),
        ('"Kur" dedi, "sakin"', '"Kur" dedi, "sakin"'),
        ("**Kur** sakin, _bence_.", "Kur sakin, bence."),
        ("<think>Bir.</think>Kur sakin.</think>", "Kur sakin."),
        ("<think></think>Bunu nasıl desem bilemedim.</think> Kur sakin, acele yok.", "Kur sakin, acele yok."),
        ("<|channel|>analysis<|message|>Kısa olsun.<|end|><|channel|>final<|message|>Kur sakin.", "Kur sakin."),
        ("<|channel|>analysis<|message|>Kısa olsun", ""),
        ("analysisWe need one line.assistantfinalKur sakin.", "Kur sakin."),
        ("<|im_start|>assistant\nKur sakin.<|im_end|>\n<|im_start|>user\nPeki?", "Kur sakin."),
        ("# Başlık\nKur sakin.", "Kur sakin."),
        ("# Kur sakin bugün.\nAltın da.", "Kur sakin bugün. Altın da."),
        ("**Ali Hoca**\n\nKur sakin.", "Kur sakin."),
        ("**Dolar:** yatay, **altın:** sakin.", "Dolar: yatay, altın: sakin."),
        ("- Kur sakin.\n- Altın da.", "Kur sakin. Altın da."),
        ("1. Kur sakin\n2. Altın da", "Kur sakin. Altın da"),
        ("3. çeyrek güçlü geçti", "3. çeyrek güçlü geçti"),
        ("- Kur sakin 🙂\n- Altın da", "Kur sakin 🙂 Altın da"),
        ("Kur sakin.\n---\n#BIST\n\n**Not:** YTD", "Kur sakin."),
        ("Kur sakin. #BIST #FX", "Kur sakin."),
        ("#BIST bugün yatay.", "BIST bugün yatay."),
        ("Ali Hoca: Kur sakin.", "Kur sakin."),
        ("🤖 Ali Hoca: Kur sakin.", "Kur sakin."),
        ("@ali_hoca_bot: Kur sakin.", "Kur sakin."),
        ("Tabii ki! kur sakin.", "Kur sakin."),
        ("Tabii ki! ihracat artıyor.", "İhracat artıyor."),
        ("Kur sakin. Yatırım tavsiyesi değildir.", "Kur sakin."),
        ("Kur sakin. (YTD)", "Kur sakin."),
        ("Kur sakin\n\nBurada yazılanlar yatırım tavsiyesi değildir.", "Kur sakin"),
        ("Böyle görüyorum, yatırım tavsiyesi değil.", "Böyle görüyorum"),
        ("Yatırım tavsiyesi değil ama kur sakin.", "Yatırım tavsiyesi değil ama kur sakin."),
        ("Bu yatırım tavsiyesi değil mi?", "Bu yatırım tavsiyesi değil mi?"),
        ("Endeks yıl başından beri %20 YTD", "Endeks yıl başından beri %20 YTD"),
        ("Bence bir uzmana danış", "Bence bir uzmana danış"),
        ("Tabii ki! İşte yanıtım:\n\n**Ali Hoca:** “Kur sakin.”\n\n*Yatırım tavsiyesi değildir.*", "Kur sakin."),
        ("İşte bu! Kur sakin.", "İşte bu! Kur sakin."),
        ("Metin: kur sakin", "Metin: kur sakin"),  # a name; the speaker guard's matter
        ("ALİ HOCA: kur sakin", "kur sakin"),
        ("Ali Hoca (@ali_hoca_bot) - Kur sakin", "Kur sakin"),
        ("“Sabır.” dedi dedem.", "“Sabır.” dedi dedem."),
        ("Kur   sakin \n\n bugün .", "Kur sakin bugün."),
        ("`THYAO` uçtu", "THYAO uçtu"),
        ("[haber](https://x.example/a) okudum", "haber okudum"),
        ("THYAO_2026 raporu ve 3 * 4 = 12", "THYAO_2026 raporu ve 3 * 4 = 12"),
        ("%100 katılıyorum, 2.5'lik hareket", "%100 katılıyorum, 2.5'lik hareket"),
        ("Ali'ye katılıyorum", "Ali'ye katılıyorum"),
    ],
)
def test_only_the_wrapping_goes(raw: str, line: str) -> None:
    assert clean(raw, NAMES) == line


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ("Kur sakin. Altın da ya", "Kur sakin."),
        ("Kur sakin, altın da ya", ""),
        ("Kur sakin.", "Kur sakin."),
        ('"Kur sakin! Altın da ya', "Kur sakin!"),
        ("Kur sakin. Enflasyon yüzde 2.", "Kur sakin."),
        ("Kur sakin vb. şeyler va", ""),
        ("Bilançolar 3. çeyrekte bel", ""),
        ("Kur sakin. Yatırım tavsiyesi değildir. Karar", "Kur sakin."),
        ("- Kur sakin\n- Altın da ya", "Kur sakin."),
        ("<think>Uzun uzun düşü", ""),
        ("“Sabır.” dedi dedem. Ben de", "“Sabır.” dedi dedem."),
    ],
)
def test_what_the_token_limit_left_unfinished_goes(raw: str, line: str) -> None:
    assert clean(raw, NAMES, cut=True) == line


PIECES = (
    'Kur sakin|. |\n|- |1. |2. |# |**|_|`|"|“|”|#BIST|Ali Hoca|: | - |<think>|</think>|YTD|Tabii ki! |işte mesajım: |Not: |'
    "yatırım tavsiyesi değildir|---|> "
)
MARKED = st.lists(st.sampled_from(PIECES.split("|")), max_size=14).map("".join)


@given(st.text(max_size=200) | MARKED, st.booleans())
def test_cleaning_twice_changes_nothing_more(raw: str, cut: bool) -> None:
    once = clean(raw, NAMES, cut=cut)
    assert clean(once, NAMES) == once


@given(
    st.lists(st.sampled_from(["kur", "sakin", "İhracat", "ığdır", "THYAO'yu", "%5", "bence"]), min_size=1, max_size=12)
)
def test_a_plain_sentence_is_left_as_it_is(words: list[str]) -> None:
    line = " ".join(words).capitalize() + " bugün"
    assert clean(line, NAMES) == line


# --- small models, by the sandbox's own flaws


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt of a shipped persona, and what comes back for it."""

    persona: Persona
    roster: dict[int, Persona]
    room: tuple[Line, ...]
    asked: Prompt
    line: str

    @property
    def scene(self) -> Scene:
        return Scene(self.asked.system, self.asked.user)

    def cleaned(self, raw: str, finish: str = "stop") -> str:
        names = (self.persona.name, self.persona.username, self.persona.first_name)
        return self.asked.faces.reveal(clean(raw, names, cut=finish == "length"))

    def verdict(self, text: str) -> Verdict | None:
        given = Case(text, self.persona, self.roster, self.room, {}, (), 0.0, fold(self.asked.system))
        return guards.check(given, guards_of(SETTINGS))


SETTINGS = load(default_config(), env={})


def turns(seed: int, number: int) -> Iterator[Turn]:
    """Turns of all four personas, of every kind of intent, with all that a prompt may carry."""
    rng = random.Random(seed)
    roster = {number: Persona.of(bot, number) for number, bot in enumerate(bots().values(), 1)}
    for _ in range(number):
        me, other = rng.sample(sorted(roster.values(), key=lambda one: one.bot_id), 2)
        said = [line(1, "Dolar ne olur sizce?"), line(2, "Ekran hızlı bugün, gözüm tahtada.", bot=other)]
        kind = rng.choice([IntentKind.ANSWER, IntentKind.REPLY, IntentKind.TOPIC, IntentKind.CONTINUE])
        target: Message | None = {IntentKind.ANSWER: said[0], IntentKind.REPLY: said[1]}.get(kind)
        asked = prompt(
            Intent(kind, CHAT, "", target=target, topic=rng.choice(["FX", None]), ask=rng.random() < 0.5),
            said,
            me,
            roster=roster,
            own_lines=(write("Altın", rng),) if rng.random() < 0.5 else (),
            avoid=("gürültü", "sabır") if rng.random() < 0.5 else (),
            restate=rng.random() < 0.5,
            objection="Bunu başka sözlerle söyle." if rng.random() < 0.3 else "",
            rejected="Kur sakin.",
        )
        room = Room(CHAT)
        room.fill(said)
        yield Turn(me, roster, tuple(room.view().lines), asked, write(asked.user, rng))


WRAPPED = ("think", "name", "markdown", "quotes", "hashtags", "opening", "disclaimer")


@pytest.mark.parametrize("kind", WRAPPED)
def test_what_a_small_model_puts_around_a_line_goes(kind: str) -> None:
    rng = random.Random(21)
    for turn in turns(1, 400):
        raw, finish = flaw(kind, turn.line, turn.scene, rng)
        text = turn.cleaned(raw, finish)
        assert text == turn.line, raw
        assert turn.verdict(text) is None


def test_several_flaws_at_once_go_too() -> None:
    rng = random.Random(22)
    for turn in turns(2, 1500):
        raw = turn.line
        for kind in (rng.choice(["hashtags", "disclaimer", "quotes", "markdown"]), "name", "opening", "think"):
            if rng.random() < 0.6:
                raw, _ = flaw(kind, raw, turn.scene, rng)
        assert turn.cleaned(raw) == turn.line, raw


def test_a_list_becomes_sentences() -> None:
    rng = random.Random(23)
    for turn in turns(3, 400):
        raw, finish = flaw("list", turn.line, turn.scene, rng)
        text = turn.cleaned(raw, finish)
        assert not re.search(r"\n|[•–✅👉🔹*]|(?:\A|[.:] )(?:-|\d+[.)]) ", text), raw
        assert turn.line.rstrip(".") in text
        assert turn.verdict(text) is None


def test_a_line_cut_mid_word_ends_with_its_last_whole_sentence_or_is_dropped() -> None:
    rng = random.Random(24)
    outcomes = set()
    for turn in turns(4, 400):
        raw, finish = flaw("cut", turn.line, turn.scene, rng)
        text = turn.cleaned(raw, finish)
        verdict = turn.verdict(text)
        outcomes.add(verdict is None)
        if verdict is None:
            assert turn.line.startswith(text + " "), raw
            assert text[-1] in ".!?…"
        else:
            assert (text, verdict.guard) == ("", "speaker")
    assert outcomes == {True, False}


def test_an_echoed_prompt_is_stopped_by_the_speaker_guard() -> None:
    rng = random.Random(25)
    for turn in turns(5, 1000):
        raw, finish = flaw("echo", turn.line, turn.scene, rng)
        verdict = turn.verdict(turn.cleaned(raw, finish))
        assert verdict is not None, raw
        assert verdict.guard == "speaker", raw


def test_every_line_of_the_prompt_is_known_when_it_is_repeated() -> None:
    """Whoever words the prompt anew learns here what the speaker guard does not know yet."""
    for turn in turns(6, 100):
        for told in _told(turn):
            for raw in (told, f"{told}\n\n{turn.line}", f'"{told}"', f"**{told}**"):
                verdict = turn.verdict(turn.cleaned(raw))
                assert verdict is not None, raw
                assert verdict.guard == "speaker", raw


def _told(turn: Turn) -> list[str]:
    """The lines of the prompt that are the prompt's own words: not the room's, not the persona's example lines."""
    said = {f"{one.name}: " for one in turn.roster.values()} | {"Üye 1: "}
    system = turn.asked.system.partition("Şöyle yazarsın")[0]
    lines = [*system.splitlines(), *turn.asked.user.splitlines()]
    return [told for told in lines if len(told.split()) > 1 and not told.startswith(tuple(said))]


# --- the language guard


def test_lines_in_other_letters_are_stopped() -> None:
    rng = random.Random(26)
    for turn in turns(7, 400):
        raw, finish = flaw("cyrillic", turn.line, turn.scene, rng)
        verdict = turn.verdict(turn.cleaned(raw, finish))
        assert verdict is not None, raw
        assert verdict.guard == "language"


def test_lines_that_slip_into_english_are_stopped_and_single_words_are_not_yet() -> None:
    rng = random.Random(27)
    stopped = 0
    for turn in turns(8, 1000):
        raw, finish = flaw("english", turn.line, turn.scene, rng)
        verdict = turn.verdict(turn.cleaned(raw, finish))
        sentence = bool(re.search(r"[A-Z][^.ığşçöü]* (?:the|we|you|there|they) [^.ığşçöü]*\.", raw))
        assert (verdict is not None) == sentence, raw
        assert verdict is None or verdict.guard == "language"
        stopped += sentence
    assert 400 < stopped < 700


@pytest.mark.parametrize(
    "text",
    [
        "市场今天很安静",
        "Kur sakin, 市场 bekliyor",
        "Kur sakin ve рынок bekliyor",
        "السوق هادئ",
        "dоlar yatay",  # a Cyrillic o
        "I think we should wait for the data.",
        "THIS IS WHAT THEY WANT",
        "Kur sakin, you know, but that’s not what they’re waiting for",
    ],
)
def test_this_is_not_the_rooms_language(text: str) -> None:
    assert LanguageGuard().check(case(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Şu hissenin β değeri yüksek, Δ ise düşük",
        "Stop loss koydum, swing trade bana göre",
        "O an in cin top oynuyordu, at izi it izine karıştı, has adam on kere not aldı",
        "Has be can, do re mi, her is bir us",
        "S&P 500, Nasdaq ve Dow Jones yatay; The Economist öyle yazmış",
        "Kâğıt üstünde güzel, Ñandú gibi koşuyor",
        "Ｋur sakin",
        "FED'in “higher for longer” sözü malum",
        "µ kadar oynadı 🙂 😅 ⚡",
    ],
)
def test_this_may_be_said_in_turkish(text: str) -> None:
    assert LanguageGuard().check(case(text)) is None


def test_no_line_of_the_sandbox_or_of_the_lists_is_taken_for_foreign(request: pytest.FixtureRequest) -> None:
    data = request.path.parents[1] / "data"
    known = [
        *(data / "questions.txt").read_text("utf-8").splitlines(),
        *(data / "statements.txt").read_text("utf-8").splitlines(),
    ]
    rng = random.Random(28)
    guard = LanguageGuard()
    for text in [row for row in known if row and not row.startswith("#")] + [write("Dolar", rng) for _ in range(2000)]:
        assert guard.check(case(text)) is None, text


def test_a_member_may_have_any_name() -> None:
    room = Room(CHAT)
    room.add(line(1, "Dolar ne olur?", author="Мария"))
    heard = room.view().lines
    assert LanguageGuard().check(case("Мария'ya katılıyorum, kur sakin", lines=heard)) is None
    assert LanguageGuard().check(case("Иван'a katılıyorum, kur sakin", lines=heard)) is not None


@pytest.mark.parametrize(("language", "stops"), [("tr", True), ("en", False)])
def test_english_is_let_pass_where_a_chat_speaks_it(language: str, stops: bool) -> None:
    chats = [{"id": CHAT, "language": language}, {"id": CHAT - 1}]
    checks = guards_of(Settings.model_validate({"chats": chats}))
    assert (guards.check(case("I think we should wait for the data."), checks) is not None) == stops
    verdict = guards.check(case("Kur sakin, рынок bekliyor"), checks)
    assert verdict is not None
    assert (verdict.guard, verdict.rewrites) == ("language", 1)


HURTING = [
    "[ ", "![", "[a](", "(*[", "<think ", "<think>", "<|channel|>", "<|channel|>a<|message|>", "*a ", "**", "__", "_a", "~~a", "`",
    "#a ", "# ", "\n- a", "\n1. a", "\n", "\n**a**", '"', "“a", "a: ", "a - ", "tabii ki! ", "işte mesaj ", "YTD. ", "bu bir ", "vb. ", "1. a",
]  # fmt: skip


@pytest.mark.parametrize("front", ["", '"', "<|channel|>", "analysisA", "*a"])
@pytest.mark.parametrize("unit", HURTING)
def test_it_takes_no_more_than_the_length_says(front: str, unit: str) -> None:
    """Eight times the text takes at most some eight times as long; quadratic, it would take 64 times."""

    def seconds(times: int) -> float:
        text, took = front + unit * times, []
        for _ in range(2):
            began = time.process_time()
            clean(text, NAMES, cut=True)
            took.append(time.process_time() - began)
        return min(took)

    assert seconds(2_400) <= 24 * seconds(300) + 0.01

"""The sandbox's small-model mode: each kind really flaws, as often as it is told to, and the same for the same seed."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from math import sqrt

import pytest

from piyasad.sandbox.llm_flaws import KINDS, SMALL_MODEL, Flaws, Scene, flaw
from piyasad.sandbox.llm_text import write

SCENE = Scene(
    "Sen Ali Hoca (@ali_hoca_bot), bir Telegram grubunda bir karaktersin.\nTon: kuru, ölçülü.\nÜslup: uzun cümle kurmaz, "
    "önce veriye bakar, sonra konuşur, manşete değil çekirdek göstergeye güvenir.\nGörüşlerin: Kurun yönünü faiz farkı "
    "belirler. Enflasyon beklentisi kırılmadan hiçbir rahatlama kalıcı olmaz.\nYalnızca Türkçe yazarsın.",
    "Son mesajlar:\n<<<\nÜye 1: Dolar ne olur?\n>>>\nKonu: FX.\nŞimdi Ali Hoca olarak yaz: tek mesaj, yalnızca metin.",
)
THINKING = re.compile(r"</?(?:think|thinking|reasoning)>|\[/THINK\]|◁/think▷|<\|message\|>|assistantfinal")
TITLE = re.compile(r"^#{1,4} |^> |^---$|\*\*|```|(?<!\w)[*_`]\w|\w[*_`](?!\w)", re.MULTILINE)
QUOTE = re.compile(r"\A[\"“„«'‘`]|[\"”»’'`]\s*\Z|[\"][.!?]\Z")
ENGLISH = re.compile(
    r"\b(?:actually|volume|market|however|trend|because|momentum|basically|already|the|is|we|they|that)\b", re.I
)
WARNING = re.compile(r"tavsiyesi|YTD|financial advice")
NAMED = re.compile(r"\A[\W_]*(?:Ali Hoca|ALİ HOCA|Ali|ali_hoca_bot)\b")

LOOKS_LIKE: dict[str, Callable[[str, str], bool]] = {
    "think": lambda flawed, line: bool(THINKING.search(flawed)) and line in flawed,
    "name": lambda flawed, line: bool(NAMED.match(flawed)) and flawed.endswith(line),
    "markdown": lambda flawed, line: bool(TITLE.search(flawed)) and not TITLE.search(line),
    "quotes": lambda flawed, line: bool(QUOTE.search(flawed)) and not QUOTE.search(line),
    "english": lambda flawed, line: bool(ENGLISH.search(flawed)) and not ENGLISH.search(line),
    "cyrillic": lambda flawed, line: bool(re.search("[а-яА-Я]", flawed)),
    "list": lambda flawed, line: len(re.findall(r"^(?:[-*•–✅👉🔹] |(?:\*\*)?\d[.)])", flawed, re.MULTILINE)) > 1,
    "hashtags": lambda flawed, line: flawed.startswith(line) and bool(re.search(r"\s#\w+\Z", flawed)),
    "opening": lambda flawed, line: line in flawed and not flawed.startswith(line),
    "disclaimer": lambda flawed, line: flawed.startswith(line) and bool(WARNING.search(flawed[len(line) :])),
    "echo": lambda flawed, line: any(part in flawed for part in _parts(SCENE)),
    "cut": lambda flawed, line: line.startswith(flawed) and line[len(flawed)].isalpha() and flawed[-1].isalpha(),
}


def _parts(scene: Scene) -> list[str]:
    """Pieces of five words of everything that was told."""
    told = f"{scene.system} {scene.last}".split()
    return [" ".join(told[start : start + 5]) for start in range(len(told) - 4)] + scene.last.splitlines()


def lines(seed: int, number: int) -> list[str]:
    rng = random.Random(seed)
    return [write("Üye 1: Dolar ve THYAO ne olur?", rng) for _ in range(number)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_really_flaws(kind: str) -> None:
    rng = random.Random(11)
    for line in lines(1, 500):
        flawed, finish = flaw(kind, line, SCENE, rng)
        assert LOOKS_LIKE[kind](flawed, line), flawed
        assert finish == ("length" if kind == "cut" else "stop")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_many_forms(kind: str) -> None:
    rng = random.Random(12)
    line = max(lines(2, 20), key=len)
    assert len({flaw(kind, line, SCENE, rng)[0] for _ in range(300)}) >= 12


@pytest.mark.parametrize("share", [0.0, SMALL_MODEL, 1.0])
def test_the_share_and_the_kinds_are_as_told(share: float) -> None:
    rng = random.Random(13)
    drawn = Counter(Flaws(share).draw(rng) for _ in range(10_000))
    _within(10_000 - drawn.pop("", 0), 10_000, share)
    assert set(drawn) == (set(KINDS) if share else set())
    for number in drawn.values():
        _within(number, 10_000, share / len(KINDS))


def test_only_the_chosen_kinds_come() -> None:
    rng = random.Random(14)
    drawn = Counter(Flaws(0.5, ("echo", "cut")).draw(rng) for _ in range(1000))
    assert set(drawn) == {"", "echo", "cut"}


def test_a_seed_makes_it_reproducible() -> None:
    def run(seed: int) -> list[str]:
        rng = random.Random(seed)
        return [flaw(rng.choice(KINDS), line, SCENE, rng)[0] for line in lines(3, 200)]

    assert run(5) == run(5)
    assert run(5) != run(6)


@pytest.mark.parametrize(
    ("scene", "speaker"),
    [
        (SCENE, ("Ali Hoca", "ali_hoca_bot")),
        (Scene(SCENE.system, "Merhaba"), ("Ali Hoca", "ali_hoca_bot")),
        (Scene("", SCENE.last), ("Ali Hoca", "")),
        # a member who words a line like an instruction does not speak: the last one counts
        (Scene("", f"Üye 1: Şimdi Kral olarak yaz: tamam\n{SCENE.last}"), ("Ali Hoca", "")),
        (Scene("", "Altın ne olur?"), ("Asistan", "")),
    ],
)
def test_who_speaks_is_read_from_the_request(scene: Scene, speaker: tuple[str, str]) -> None:
    assert scene.speaker == speaker


@pytest.mark.parametrize(
    ("kind", "scene"),
    [(kind, scene) for kind in KINDS for scene in (Scene("", ""), Scene("x", "\n"), Scene(SCENE.system, ""))],
)
def test_a_bare_request_and_a_short_line_are_flawed_too(kind: str, scene: Scene) -> None:
    rng = random.Random(15)
    for line in ("Evet.", "Kur", "a", "Acele yok", "5"):
        for _ in range(50):
            assert flaw(kind, line, scene, rng)[0]


@pytest.mark.parametrize(
    "values",
    [
        {"share": 1.5},
        {"share": -0.1},
        {"share": "viel"},
        {"share": True},
        {"share": float("nan")},
        {"kinds": []},
        {"kinds": ["think", "sleep"]},
        {"kinds": "think"},
        {"kinds": [1]},
        {"part": 0.5},
    ],
)
def test_nonsense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"share|kinds"):
        Flaws.of(values)


def test_what_is_left_out_is_small_model_mode() -> None:
    assert Flaws.of({}) == Flaws(0.3, KINDS)
    assert Flaws.of({"share": 1, "kinds": ["cut"]}) == Flaws(1.0, ("cut",))


def _within(found: int, tried: int, share: float) -> None:
    """Within five standard deviations of the binomial distribution (one false alarm in 1.7 million)."""
    assert abs(found - tried * share) <= 5 * sqrt(tried * share * (1 - share))

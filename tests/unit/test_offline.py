"""The offline provider: varied, persona-true, coherent Turkish that every guard can let pass, and nothing by chance."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from piyasad.config import BotSettings
from piyasad.guards.case import Case, Guard
from piyasad.guards.safety import SafetyGuard
from piyasad.guards.speaker import SpeakerGuard
from piyasad.language.text import fold, normalise, sentences, words
from piyasad.model import Class, IntentKind, Length
from piyasad.personas.profile import Persona
from piyasad.personas.prompt import system_text
from piyasad.providers.interface import BadRequest, Brief, Request
from piyasad.providers.offline.grammar import VOICES, Grammar
from piyasad.providers.offline.provider import OfflineProvider
from tests.unit.offline_kit import TOPICS, Said, answering, bots, brief, talk

MOST_SENTENCES = {Length.SHORT: 2, Length.MEDIUM: 3, Length.LONG: 4}
SUBJECTS = (
    "GARAN", "EREGL", "BIST", "dolar", "parite", "altın", "petrol", "BTC", "kripto", "enflasyon", "TCMB", "temettü",
    "stop", "kaldıraç", "risk",
)  # fmt: skip
EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return Grammar.load()


@pytest.fixture(scope="module")
def room(grammar: Grammar) -> list[Said]:
    return talk(grammar, 2000, seed=7)


@pytest.fixture(scope="module")
def named() -> Mapping[str, BotSettings]:
    return bots()


def request(made: Brief | None) -> Request:
    return Request(1, Class.REPLY, "", "", 90, 0.9, 0.0, made)


# --- the provider


async def test_a_line_costs_nothing_and_says_who_wrote_it(named: Mapping[str, BotSettings]) -> None:
    provider = OfflineProvider()
    done = await provider.complete(request(brief(named["Ali Hoca"])), timeout=1)
    await provider.close()
    assert done.text
    assert (done.provider, done.model, done.finish, done.calls) == ("offline", "grammar-tr", "stop", 1)
    assert (done.prompt_tokens, done.cached_tokens, done.completion_tokens, done.cost) == (0, 0, 0, 0.0)


async def test_without_a_brief_there_is_nothing_to_write_from() -> None:
    with pytest.raises(BadRequest, match="brief"):
        await OfflineProvider().complete(request(None), timeout=1)


def test_the_same_brief_gives_the_same_line_whatever_was_written_before(room: Sequence[Said]) -> None:
    fresh = Grammar.load()
    assert [fresh.write(said.brief) for said in reversed(room[:300])] == [said.text for said in reversed(room[:300])]


def test_another_seed_gives_another_line(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    made = brief(named["Mehmet Yatırımcı"])
    assert len({grammar.write(replace(made, seed=seed)) for seed in range(50)}) >= 45


def test_a_line_takes_a_fraction_of_a_millisecond(grammar: Grammar, room: Sequence[Said]) -> None:
    fresh = Grammar.load()
    start = time.process_time()
    for said in room[:1000]:
        fresh.write(said.brief)
    assert (time.process_time() - start) / 1000 < 0.002  # 0.2 ms measured; room for slow and traced machines


# --- variety


def test_fewer_than_two_in_a_hundred_repeat_within_two_hundred_lines(room: Sequence[Said]) -> None:
    keys = [normalise(said.text) for said in room]
    repeated = sum(1 for at, key in enumerate(keys) if key in keys[max(0, at - 200) : at])
    assert repeated / len(keys) <= 0.02


def test_openings_of_the_history_do_not_come_again(room: Sequence[Said]) -> None:
    same = sum(
        1 for said in room if tuple(words(said.text)[:3]) in {tuple(words(text)[:3]) for _, text in said.brief.history}
    )
    assert same / len(room) <= 0.01


def test_tens_of_thousands_of_lines_are_different(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    lines = {
        grammar.write(replace(brief(named[name], topic=topic, seed=seed), length=Length.MEDIUM))
        for name in named
        for topic in TOPICS
        for seed in range(750)
    }
    assert len(lines) >= 11_500  # of 12,000, without any history to look at


def test_pairs_of_words_are_mostly_new(room: Sequence[Said]) -> None:
    for start in range(0, len(room), 200):
        pairs = [pair for said in room[start : start + 200] for pair in _pairs(words(said.text))]
        assert len(set(pairs)) / len(pairs) >= 0.75


def _pairs(spoken: Sequence[str]) -> list[tuple[str, str]]:
    return list(pairwise(spoken))


# --- what may be sent


def test_no_line_is_stopped_by_the_guards(room: Sequence[Said], named: Mapping[str, BotSettings]) -> None:
    roster = {at: Persona.of(bot, at) for at, bot in enumerate(named.values(), 1)}
    by_name = {persona.name: persona for persona in roster.values()}
    guards: list[Guard] = [SafetyGuard(), SpeakerGuard()]
    for said in room:
        persona = by_name[said.brief.name]
        case = Case(said.text, persona, roster, (), {}, (), 0.0, system_text(persona))
        assert [verdict for guard in guards if (verdict := guard.check(case))] == [], said.text


def test_no_line_claims_a_trade_a_price_or_a_gain(room: Sequence[Said]) -> None:
    claims = re.compile(
        r"\b(?:aldim|sattim|ekledim portf\w*|karday\w+|zarardayim|kazandim|hedefim|garanti|tl|lira)\b|[%$₺€]"
    )
    # figures: only those that belong to an index or to a year of the persona's life
    allowed = re.compile(r"\bbist ?(?:30|100)\b|\b2001\b")
    for said in room:
        folded = fold(said.text)
        assert not claims.search(folded), said.text
        assert not re.search(r"\d", allowed.sub("", folded)), said.text


# --- Turkish


def test_lines_are_clean_turkish_sentences(room: Sequence[Said]) -> None:
    for said in room:
        text = said.text.removeprefix(f"@{said.brief.mention} ") if said.brief.mention else said.text
        assert not re.search(r"[{}\[\]|()]|\s{2,}|\s[,.;:!?]|[,;]{2}|\.\.|,\.|'{2}", text), text
        assert text == text.strip(), text
        assert re.search(r"[.?!…]\Z", EMOJI.sub("", text).strip()) or EMOJI.search(text[-2:]), text
        for part in re.split(r"(?<=[.?!])\s+", text):
            head = part.lstrip("".join(EMOJI.findall(part)) + " ")[:1]
            assert not head.islower() or part.startswith(said.brief.target_author or "\0"), text


def test_capitals_are_turkish(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    lines = [
        grammar.write(answering(brief(bot), "Ali", "FROTO kaç?", seed=seed))
        for bot in named.values()
        for seed in range(200)
    ]
    heads = [head for line in lines for head in re.findall(r"(?:\A|[.?!] )(\w+)", line)]
    assert any(head.startswith("İ") for head in heads)
    assert not [head for head in heads if re.match(r"I(?:lk|ki|yi|z|nsan|hrac|stat|sab|ktisa|tiraz|sim)", head)]


def test_every_written_line_can_be_said_of_every_kind_of_subject(
    grammar: Grammar, named: Mapping[str, BotSettings]
) -> None:
    for bot in named.values():
        for subject in SUBJECTS:
            for question in ("neden düştü?", "nedir?", "kaç olur?", "alınır mı?", "yükseldi", "nasıl okunur?"):
                for seed in range(4):
                    made = answering(brief(bot), "Deniz", f"{subject} {question}", seed=seed)
                    text = grammar.write(replace(made, length=Length.LONG, ask=bool(seed % 2)))
                    assert len(text) > 3
                    assert not re.search(r"[{}\[\]|]", text), text


# --- what was asked for


def test_a_line_is_as_long_as_asked(room: Sequence[Said]) -> None:
    for said in room:
        text = EMOJI.sub("", said.text).strip()
        assert len(sentences(text)) <= MOST_SENTENCES[said.brief.length], said.text


def test_only_a_line_that_may_ask_asks(room: Sequence[Said]) -> None:
    for said in room:
        assert said.brief.ask or "?" not in said.text, said.text
        assert said.text.count("?") <= 1, said.text
    asked = [said for said in room if said.brief.ask]
    assert sum("?" in said.text for said in asked) / len(asked) >= 0.5


def test_a_mentioned_handle_stands_at_the_head(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    made = answering(brief(named["Ayşe Scalper"]), "Ali Hoca", "Veriye bakalım, acele etmeyin.", person=False)
    assert grammar.write(replace(made, mention="ali_hoca_bot")).startswith("@ali_hoca_bot ")


@pytest.mark.parametrize("author", ["Deniz", "ivan_k!", "Üye 3", "deniz"])
def test_a_person_is_named_as_given_or_not_at_all(
    grammar: Grammar, named: Mapping[str, BotSettings], author: str
) -> None:
    texts = [
        grammar.write(answering(brief(bot), author, "GARAN neden sakin?", seed=seed))
        for bot in named.values()
        for seed in range(60)
    ]
    naming = [
        text
        for text in texts
        if text.startswith(f"{author}, ") or text.startswith(f"{author[:1].upper()}{author[1:]}, ")
    ]
    assert bool(naming) is (author != "ivan_k!")
    assert all(author not in text.removeprefix(author) for text in texts)


# --- coherence

KINDS = {
    "Temettü nedir?": r"kâr|pay",
    "net faiz marjı ne demek?": r"fark",
    "BTC kaç olur": r"rakam|sayı|hedef|kâhin|falcı|tahmin|kaynağı|bil[me]|seviye|kaç|ne kadar|ne derse|gösterirse",
    "Bot musun sen?": r"yapay zekâ karakteri",
    "gerçek misin": r"yapay zekâ karakteri",
    "GARAN alınır mı?": r"karar|tercih|yön|yol|akıl|al sat|söyleyemem|demem|yapmam|sormayın|ver[em]|haddim|senlik",
    "Bugün çok zarar ettim": r"geçmiş olsun|üzül|burkul|yedim|gördüm|anlıyorum|ders|oof",
}


@pytest.mark.parametrize(("asked", "says"), KINDS.items())
def test_a_question_is_answered_by_its_kind(
    grammar: Grammar, named: Mapping[str, BotSettings], asked: str, says: str
) -> None:
    for bot in named.values():
        for seed in range(25):
            text = grammar.write(answering(brief(bot), "Deniz", asked, seed=seed))
            assert re.search(says, text, re.IGNORECASE), (bot.name, text)


def test_what_is_asked_about_is_what_is_answered(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    for subject, names in (
        ("THYAO", "thyao|havacilik"),
        ("euro", "euro|eurtry"),
        ("enflasyon", "enflasyon"),
        ("ETH", "eth"),
    ):
        texts = [
            fold(
                grammar.write(
                    replace(answering(brief(bot), "D", f"{subject} için ne dersin?", seed=seed), length=Length.LONG)
                )
            )
            for bot in named.values()
            for seed in range(40)
        ]
        assert sum(bool(re.search(names, text)) for text in texts) / len(texts) >= 0.8, subject
        other = "garan|sise|usdtry|dolar |btc|bist"
        assert sum(bool(re.search(other, text)) for text in texts) / len(texts) <= 0.1, subject


def test_replies_stay_with_the_subject_of_the_line(room: Sequence[Said]) -> None:
    replies = [said for said in room if said.brief.intent is IntentKind.REPLY]
    named = [said for said in replies if _tickers(said.brief.target_text)]
    stay = sum(
        bool({*re.findall(r"\b[A-Z]{5,6}\b", said.brief.target_text)} & {*re.findall(r"\b[A-Z]{5,6}\b", said.text)})
        for said in named
    )
    assert len(named) > 100
    assert stay / len(named) >= 0.5


def _tickers(text: str) -> set[str]:
    return set(re.findall(r"\b[A-Z]{5,6}\b", text))


def test_they_quarrel_by_their_stances(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    praise = "Bitcoin harika gidiyor, çok güçlü"
    no = re.compile(
        r"ayriliyoruz|katilm|baska|darilma|kusura|anlasama|ayri duseriz|yabanci|uzak|uykusuz|koku|dur,"
        r"|hadi canim|yok ya|cik"
    )
    for name, agrees in (("Ayşe Scalper", True), ("Mehmet Yatırımcı", False)):
        texts = [
            fold(
                grammar.write(
                    answering(brief(named[name], topic="Kripto"), "Ali Hoca", praise, person=False, seed=seed)
                )
            )
            for seed in range(200)
        ]
        differ = sum(bool(no.search(text)) for text in texts)
        assert (differ / len(texts) < 0.25) is agrees, (name, differ)


def test_thanks_and_greetings_are_returned(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    for bot in named.values():
        for seed in range(20):
            text = fold(grammar.write(answering(brief(bot), "Deniz", "teşekkürler", seed=seed)))
            assert re.search(r"rica|ne demek|estagfurullah|eyvallah|lafi olmaz|bir sey degil", text), text
            text = fold(grammar.write(answering(brief(bot), "Deniz", "Günaydın!", seed=seed)))
            assert re.search(r"hos ?geldin|merhaba|selam|gunaydin|hos bulduk|iyi gunler|heyo|naber|buyur", text), text


# --- persona


def test_they_are_told_apart_by_a_plain_word_count(grammar: Grammar, room: Sequence[Said]) -> None:
    """Naive Bayes over words, trained on one conversation, tried on another."""
    counts: dict[str, Counter[str]] = {}
    for said in room:
        counts.setdefault(said.brief.name, Counter()).update(words(said.text))
    sizes = {name: sum(found.values()) for name, found in counts.items()}

    def guess(text: str) -> str:
        def weight(name: str) -> float:
            return math.fsum(math.log((counts[name][word] + 0.5) / (sizes[name] + 5000)) for word in words(text))

        return max(counts, key=weight)

    fresh = talk(grammar, 600, seed=99)
    right = sum(guess(said.text) == said.brief.name for said in fresh)
    assert right / len(fresh) >= 0.85


def test_length_and_address_fit_the_persona(room: Sequence[Said]) -> None:
    size = {
        name: sum(len(words(said.text)) for said in room if said.brief.name == name)
        / sum(len(sentences(EMOJI.sub(".", said.text))) for said in room if said.brief.name == name)
        for name in bots()
    }
    assert size["Ayşe Scalper"] < size["Zeynep Yeni"] < size["Ali Hoca"]
    assert size["Ayşe Scalper"] < size["Mehmet Yatırımcı"] < size["Ali Hoca"]
    for name, never in (("Ayşe Scalper", "siz"), ("Ali Hoca", "sen")):
        spoken = [word for said in room if said.brief.name == name for word in words(said.text)]
        assert never not in spoken


def test_pet_phrases_and_emoji_are_rare_and_the_personas_own(
    room: Sequence[Said], named: Mapping[str, BotSettings]
) -> None:
    for name, bot in named.items():
        own = [said.text for said in room if said.brief.name == name]
        pets = [fold(phrase) for phrase in bot.persona.style.pet_phrases]
        has = [any(pet in fold(text) for pet in pets) for text in own]
        assert 0.01 <= sum(has) / len(has) <= 0.25
        signs = {sign for text in own for sign in EMOJI.findall(text)}
        assert signs <= {sign for text in bot.persona.examples for sign in text}
        assert sum(bool(EMOJI.search(text)) for text in own) / len(own) <= 0.25
        assert bool(signs) is (name in {"Ayşe Scalper", "Zeynep Yeni"})
        others = [fold(p) for other, b in named.items() if other != name for p in b.persona.style.pet_phrases]
        assert not [text for text in own if any(pet in fold(text) for pet in others)]


def test_a_pet_phrase_rests_while_it_is_fresh(room: Sequence[Said]) -> None:
    for said in room:
        pets = [fold(phrase) for phrase in said.brief.pet_phrases]
        own = [fold(text) for author, text in said.brief.history if author == said.brief.name][-6:]
        if any(pet in text for pet in pets for text in own):
            assert not any(pet in fold(said.text) for pet in pets), said.text


STRANGERS = (
    ("Kerem Grafik", "agresif, hızlı, enerjik", "yüksek risk", "sen", ("oyun başlasın",), ("Tetikteyim 🚀",)),
    ("Nermin Teyze", "sakin, sabırlı", "düşük, temkinli", "siz", ("evladım",), ()),
    ("Doktor Veri", "mesafeli, akademik analist", "orta", "sen", ("kaynak lütfen",), ("Tablo ortada.",)),
    ("Can", "", "", "siz", (), ()),
)


@pytest.mark.parametrize(("name", "tone", "risk", "address", "pets", "examples"), STRANGERS)
def test_a_persona_that_nobody_foresaw_speaks_too(
    grammar: Grammar, name: str, tone: str, risk: str, address: str, pets: tuple[str, ...], examples: tuple[str, ...]
) -> None:
    made = Brief(
        bot_id=9, name=name, persona=name, tone=tone, risk_profile=risk, watchlist=("TUPRS", "AEFES"), pet_phrases=pets,
        stances=(("BIST", "Sanayi üretirse borsa da yürür", "for"),), examples=examples, address=address,
        intent=IntentKind.TOPIC, topic="BIST", length=Length.MEDIUM, ask=False,
    )  # fmt: skip
    texts = [grammar.write(replace(made, seed=seed, ask=bool(seed % 2))) for seed in range(300)]
    assert len(set(texts)) >= 280
    assert sum("TUPRS" in text or "AEFES" in text for text in texts) > 60  # its watchlist
    assert any(pet in fold(text) for text in texts for pet in map(fold, pets)) or not pets
    assert any("sanayi üretirse borsa da yürür" in text for text in texts)
    spoken = {word for text in texts for word in words(text)}
    assert {"sen": "siz", "siz": "sen"}[address] not in spoken
    if examples:
        assert {sign for text in texts for sign in EMOJI.findall(text)} == {
            s for e in examples for s in EMOJI.findall(e)
        }


def test_a_long_stance_is_never_quoted_whole(grammar: Grammar, named: Mapping[str, BotSettings]) -> None:
    long = "Uzun uzun anlatılan ve dokuz kelimeyi çoktan geçen bir görüş bu işte"
    made = replace(brief(named["Ali Hoca"]), stances=(("BIST", long, "for"),), length=Length.LONG)
    assert not [1 for seed in range(400) if fold(long) in fold(grammar.write(replace(made, seed=seed)))]


@pytest.mark.parametrize("topic", ["Emlak", "Girişimcilik ve yatırım", "FX", "Altın", "", "Halka arz"])
def test_any_topic_of_an_operator_can_be_opened(grammar: Grammar, named: Mapping[str, BotSettings], topic: str) -> None:
    for bot in named.values():
        texts = [grammar.write(brief(bot, topic=topic, seed=seed)) for seed in range(60)]
        assert len(set(texts)) >= 45
        if topic == "Emlak":
            assert sum("emlak" in fold(text) for text in texts) >= 40


def test_the_voices_have_the_same_moves(grammar: Grammar) -> None:
    voices = grammar._voices
    assert tuple(voice.name for voice in voices) == VOICES
    shared = set(voices[0].pools) & set(voices[1].pools) & set(voices[2].pools) & set(voices[3].pools)
    for voice in voices:
        assert {rule for rule in voice.pools if not rule.endswith(".paper")} <= shared

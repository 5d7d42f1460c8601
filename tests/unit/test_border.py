"""What a text from outside may hold once it is in: one canonical form, nothing unseen, bounded, and linear to make."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.language.border import completed, received

MOST = 4096
ANY = st.text(st.characters(exclude_categories=()), max_size=300)  # lone surrogates, too


def of_model(text: str) -> str:
    return completed(text, MOST)[0]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Bence sakin bir gün \ud83d", "Bence sakin bir gün"),
        ("\udc00Bence", "Bence"),
        ("iki yarım: \ud83d\ude00", "iki yarım: 😀"),
        ("ters: \ude00\ud83d.", "ters: ."),
        (
            "Bence\0 sakin bir gün &quot;bugün&quot; &amp; yarın.\\n\\nBekleyelim.",
            'Bence sakin bir gün "bugün" & yarın.\n\nBekleyelim.',
        ),
        ("&amp;quot;evet&amp;quot;", '"evet"'),
        ("&#39;evet&#x27; &lt;3 &nbsp;x", "'evet' <3  x"),
        ("S&P 500, R&D, AT&T; &copy", "S&P 500, R&D, AT&T; &copy"),
        ("a&#0;b&#55357;c&#x200b;d", "abcd"),
        ('\\u00e7ok \\"iyi\\" \\ud83d\\ude00', 'çok "iyi" 😀'),
        ("satır\\r\\nsatır\\tson", "satır\n\nsatır son"),
        ("<p>Merhaba<br/>dünya</p> <b>kalın</b>", "Merhaba\ndünya\n kalın"),
        ("kes\u200bin kaz\u00adanç", "kesin kazanç"),
        ("\u202eters\u202c \u2066x\u2069 \u200fy", "ters x y"),
        ("a\u00a0b\u3000c\u2800d", "a b c d"),
        ("a\u2028b\x85c", "a\nb\nc"),
        ("\U000e0041gizli\U000e007f", "gizli"),
        ("ab\x07\x1b[31mc\x9b", "ab[31mc"),
        ("gu\u0308n", "gün"),
        ("aile 👨\u200d👩\u200d👧 kalp ❤️ tuş 1️⃣ bayrak 🇹🇷", "aile 👨\u200d👩\u200d👧 kalp ❤️ tuş 1️⃣ bayrak 🇹🇷"),
        ("r\ufe0fak\u200dam 1\ufe0f5", "rakam 15"),
        ("üst üste a\u0301\u0302\u0303\u0304\u0305\u0306", "üst üste á\u0302\u0303"),
        ("¯\\_(ツ)_/¯", "¯\\_(ツ)_/¯"),
    ],
)
def test_a_completion_is_plain_text(text: str, plain: str) -> None:
    assert of_model(text) == plain


def test_a_person_s_text_keeps_what_it_says() -> None:
    assert received("&amp; \\n <b>x</b>", MOST) == "&amp; \\n <b>x</b>"
    assert received("kes\u200bin \ud83d gu\u0308n", MOST) == "kesin  gün"


def test_the_length_is_bounded_first() -> None:
    assert completed("a" * 50, 20) == ("a" * 20, True)
    assert completed("a" * 20, 20) == ("a" * 20, False)
    assert received("a" * 50, 20) == "a" * 20


def test_what_is_thought_before_a_long_answer_does_not_crowd_it_out() -> None:
    assert completed("<think>" + "hmm " * 2000 + "</think> Bence sakin.", 240) == ("Bence sakin.", False)


@given(ANY)
def test_after_it_nothing_unseen_is_left_and_encoding_cannot_fail(text: str) -> None:
    for found in (of_model(text), received(text, MOST)):
        found.encode()
        assert unicodedata.is_normalized("NFC", found)
        assert not any(
            unicodedata.category(sign) in {"Cc", "Cs", "Cf", "Co"} for sign in found if sign not in "\n\u200d"
        )
        assert found == found.strip()


@given(st.text(max_size=200))
def test_canonically_equal_texts_are_equal(text: str) -> None:
    assert received(unicodedata.normalize("NFD", text), MOST) == received(unicodedata.normalize("NFC", text), MOST)


@given(st.text(st.sampled_from("&amp;#38; qot;ltg<b> \\nu00e9\u200d\ufe0f😀"), max_size=100))
def test_bringing_it_in_once_more_changes_a_received_text_no_more(text: str) -> None:
    once = received(text, MOST)
    assert received(once, MOST) == once


HURTING = [
    "[ ", "<", "<a ", "&", "&amp;", "&#38;", "\\", "\\u00", "\u0301", "a\u0301\u0316", "\ud83d", "\u200d", "😀\u200d", "1\ufe0f",
    "<p ", "<think>", "&am&#112;", "\u202e", " ", "\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", HURTING)
def test_it_takes_no_more_than_the_length_says(unit: str) -> None:
    """Eight times the text takes at most some eight times as long; quadratic, it would take 64 times."""

    def seconds(times: int) -> float:
        text, took = unit * times, []
        for _ in range(3):
            began = time.process_time()
            completed(text, 10**7)
            received(text, 10**7)
            took.append(time.process_time() - began)
        return min(took)

    assert seconds(32_000) <= 24 * seconds(4_000) + 0.01

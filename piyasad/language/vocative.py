"""How somebody is called in a Turkish chat: greetings, titles, "you". Pure, on folded words.

`privacy/names.py` asks whether a word that is also a name calls somebody; `behaviour/address.py` knows greetings from here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from piyasad.language.text import HONORIFICS

GREETINGS: Final = frozenset(
    (
        "selam", "merhaba", "slm", "mrb", "hey", "ya", "yahu", "peki", "evet", "hayir", "gunaydin", "tesekkurler",
        "sagol", "tamam", "bak", "bence", "aynen", "hadi", "tebrikler", "bravo", "sayin", "sevgili", "lan", "ee", "e",
    )
)  # fmt: skip
"""Words that may stand before a first name that is an address."""

HAILS: Final = frozenset(
    (
        "selam", "selamlar", "merhaba", "merhabalar", "slm", "mrb", "hey", "gunaydin", "tesekkurler", "tesekkur", "ederim", "ederiz", "sagol",
        "sagolun", "sag", "ol", "olun", "eyvallah", "tebrikler", "tebrik", "bravo", "aferin", "helal", "hos", "geldin", "geldiniz", "bulduk",
        "iyi", "aksamlar", "geceler", "gunler", "haftalar", "sabahlar", "haftasonlari", "hayirli", "kolay", "gelsin", "gecmis", "olsun",
        "gorusuruz", "kusura", "bakma", "haklisin", "haklisiniz", "katiliyorum", "sana", "size", "cok", "hello", "hi", "thanks", "hoscakal",
    )
)  # fmt: skip
"""Words of greeting, thanks and assent: a line of these and a name calls somebody, whatever else the name may mean."""

_TITLES: Final = re.compile(
    r"(?:abi|agabey|abla|hoca|bey|hanim|usta|reis|baskan|kardes|kardesim|kanka|dostum|ustad|ustat|patron|beyefendi|hanimefendi|bro)"
    r"(?:c[iu][mg]\w{0,3}|m|[iu]m|l[ae]r)?(?:n?[iu]n|y?[ae]|y?[iu]|[dt][ae]n?|y?l[ae])?"
)
_BEFORE: Final = frozenset(("sayin", "sn", "sevgili", "degerli", "bay", "bayan", "mr", "mrs", "dear"))
_YOU: Final = re.compile(
    r"s[ei]n|sen(?:ce|in|i|den|de|le|inle|sin)|sana|siz|siz(?:ce|in|i|den|de|e|le|inle)|nasilsin\w*|"
    r"\w+(?:[iuae]r|yo|yor|m[iu]s|c[ae]k|m[iu]|m[ae]z|l[iu]|s[iu]z|[sktp][iu])s[iu]n(?:[iu]z)?|\w+(?:[ln]d|[aeiou]d|rd|kt|st|pt)[iu]n[iu]?z?"
)
_NOT_YOU: Final = re.compile(
    r"(?:altin|kadin|aydin|versin|gorsun|dursun|yatsin|artsin|ardin|derdin|adin|yurdun|umudun|kredin)"
)
_ASIDE: Final = frozenset(
    (
        "bak",
        "baksana",
        "dinle",
        "gel",
        "soyle",
        "soylesene",
        "anlat",
        "dikkat",
        "sakin",
        "lutfen",
        "katiliyorum",
        "katilmiyorum",
        "ne",
    )
)
_DOES: Final = re.compile(
    r"(?:dedi|demis|demisti|diyor|diyordu|derdi|yazdi|yazmis|yazmisti|yaziyor|soyledi|soylemis|soylemisti|soyluyor|sordu|sormus|sormustu|soruyor|"
    r"hakli(?:y?di|dir|ymis)?|paylasti|paylasmis|anlatti|anlatmis|anlatiyor|yanildi|cevapladi|katildi|bilir)"
)  # fmt: skip


_MEMO: Final = 4096  # words whose answer is remembered: the rules are pure, and floods repeat themselves


@lru_cache(_MEMO)
def is_title(word: str) -> bool:
    """Whether a folded word is a title that follows a name ("bey", "hocam", "hanıma")."""
    return word in HONORIFICS or _TITLES.fullmatch(word) is not None


def precedes_name(word: str) -> bool:
    """Whether a folded word announces a name ("sayın")."""
    return word in _BEFORE


@lru_cache(_MEMO)
def says_you(word: str) -> bool:
    """Whether a folded word speaks to somebody: "sen", "sizce", "diyorsun", "haklısınız"."""
    return _YOU.fullmatch(word) is not None and _NOT_YOU.fullmatch(word) is None


def turns_to(words: Sequence[str]) -> bool:
    """Whether the words that follow a name speak to its bearer."""
    return bool(words) and (words[0] in _ASIDE or any(map(says_you, words)))


@lru_cache(_MEMO)
def is_deed(word: str) -> bool:
    """Whether a folded word is what a person of the chat does: says, asks, writes, is right."""
    return _DOES.fullmatch(word) is not None

"""Turkish case endings on anything a market chat names: words, names, tickers, abbreviations, numbers.

The offline provider's grammar calls it. Exact by rule (vowel harmony, buffer letters, hardening, softening, apostrophe)
with small tables for what rules cannot know. Pure; it never guesses at meaning.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, Literal, get_args

from piyasad.language.text import lower_tr

Ending = Literal["nom", "acc", "dat", "loc", "abl", "gen", "ins", "ki", "pl", "too", "ask"]
"""Nominative, -i, -e, -de, -den, -in, -le, -deki, -ler, the words "de" and "mi" after it."""

ENDINGS: Final = frozenset(get_args(Ending))

_VOWELS: Final = "aıoueiöüâîû"
_BACK: Final = "aıouâû"
_HARD: Final = "fstkçşhp"
# The high vowel that follows a vowel.
_HIGH: Final = MappingProxyType(dict(zip(_VOWELS, "ııuuiiüüııu", strict=True)) | {"î": "i"})

# What is read otherwise than it is spelt: company names behind tickers, letters named as people name them.
_READ: Final = MappingProxyType(
    {
        "AKBNK": "akbank", "YKBNK": "yekebank", "KCHOL": "koçhol", "MGROS": "migros", "PETKM": "petkim",
        "SISE": "şişe", "TTKOM": "tetekom", "TUPRS": "tüpraş", "ENKAI": "enkai", "BIMAS": "bimas",
        "PGSUS": "pegasus", "TCELL": "türksel",
        "PPK": "pepeka", "KKM": "kekeme", "Fed": "fed", "AB": "abe", "XAU": "iksau", "ONS": "ons",
    }
)  # fmt: skip

# Loans with a back vowel in the last syllable that take front endings, and â words that are front anyway.
_FRONT: Final = frozenset(
    ("petrol", "kontrol", "rol", "gol", "sembol", "saat", "dikkat", "hâl", "kabul", "metal", "sinyal", "ideal",
     "normal", "protokol", "meşgul", "istikbal", "kalp", "harp", "alkol", "ihtimal", "emsal", "misal")
)  # fmt: skip

# Words that lose the vowel of their last syllable before a vowel.
_DROP: Final = MappingProxyType(
    {"hacim": "hacm", "sabır": "sabr", "fikir": "fikr", "vakit": "vakt", "nakit": "nakd", "akıl": "akl",
     "ömür": "ömr", "isim": "ism", "resim": "resm", "şehir": "şehr", "kısım": "kısm", "nehir": "nehr", "nabız": "nabz",
     "seyir": "seyr", "devir": "devr", "zihin": "zihn", "emir": "emr", "kayıp": "kayb", "fasıl": "fasl"}
)  # fmt: skip

# Softened although one syllable, or though a rule by sound would leave them alone.
_SOFT: Final = MappingProxyType(
    {"kaldıraç": "kaldırac", "amaç": "amac", "ihtiyaç": "ihtiyac", "sonuç": "sonuc", "kazanç": "kazanc",
     "kitap": "kitab", "hesap": "hesab", "sebep": "sebeb", "talep": "taleb", "cevap": "cevab", "umut": "umud",
     "renk": "reng", "denk": "deng", "çok": "çoğ", "gök": "göğ", "uç": "uc", "borç": "borc", "güç": "güc", "dip": "dib",
     "süreç": "sürec",
     "direnç": "direnc", "bilinç": "bilinc", "basınç": "basınc", "inanç": "inanc", "araç": "arac",
     "ağaç": "ağac", "harç": "harc"}
)  # fmt: skip

# Polysyllables in -k that stay hard.
_STAYS: Final = frozenset(
    ("hukuk", "ahlak", "merak", "emlak", "infilak", "park", "tank", "bank", "risk", "disk", "çek", "ok")
)

_ONES: Final = ("sıfır", "bir", "iki", "üç", "dört", "beş", "altı", "yedi", "sekiz", "dokuz")
_TENS: Final = ("", "on", "yirmi", "otuz", "kırk", "elli", "altmış", "yetmiş", "seksen", "doksan")
_POWERS: Final = ((9, "milyar"), (6, "milyon"), (3, "bin"), (2, "yüz"))

_LETTERS: Final = MappingProxyType({"h": "he", "k": "ke", "r": "re", "ğ": "ge", "w": "ve", "q": "kü", "x": "iks"})
_CLUSTER: Final = re.compile(r"[^aıoueiöüâîû]{3}")
_FIRST: Final = re.compile(r"(?:[^aıoueiöüâîû]?|[bcdfgkpst][rl]|s[ptk]r?|tc)[aıoueiöüâîû]")
_LAST: Final = re.compile(r"[aıoueiöüâîû](?:[^aıoueiöüâîû]?|[lrnsşmf][tkçps]|gl|ns)\Z")


def spoken(word: str) -> str:
    """How a word, ticker, abbreviation or number is read aloud, lower case; only its end is exact.

    "THYAO" is a word by its sounds at the end, "USDTRY" is spelt out ("… te re ye"), "BIST30" ends in "otuz".
    """
    last = word.rpartition(" ")[2]
    if last in _READ:
        return _READ[last]
    digits = re.search(r"(\d+)\Z", last)
    if digits:
        return _number(digits[1])
    if len(last) > 1 and last == last.upper() and last != last.lower():
        # A ticker's I stands for İ: the exchange writes no dotted capitals.
        sound = last.replace("I", "i").lower().replace("\u0307", "")
        if _readable(sound):
            return sound
        end = sound[-1]
        return end if end in _VOWELS else _LETTERS.get(end, end + "e")
    return lower_tr(last)


def _number(digits: str) -> str:
    value = digits.lstrip("0")
    if not value:
        return "sıfır"
    zeros = len(value) - len(value.rstrip("0"))
    if not zeros:
        return _ONES[int(value[-1])]
    if zeros == 1:
        return _TENS[int(value[-2])]
    return next(name for power, name in _POWERS if zeros >= power)


def _readable(sound: str) -> bool:
    """Whether an abbreviation can be said as a word: no clusters that Turkish has not."""
    return not _CLUSTER.search(sound) and _FIRST.match(sound) is not None and _LAST.search(sound) is not None


def is_name(word: str) -> bool:
    """Whether a word takes an apostrophe: it starts with a capital letter or a digit."""
    return word[:1].isupper() or word[:1].isdigit() or word[:1] == "%"


def inflect(word: str, ending: Ending, *, possessed: bool = False) -> str:
    """A word with a case ending, apostrophe included where a name needs one.

    Args:
        word: as it is written; of several words the last one carries the ending.
        ending: see `Ending`.
        possessed: the word ends in a third person possessive ("kâr marjı", "Merkez Bankası"): its buffer letter is n.
    """
    if ending == "nom":
        return word
    sound = spoken(word)
    vowel = next((letter for letter in reversed(sound) if letter in _VOWELS), "e")
    front = vowel not in _BACK or sound in _FRONT
    wide = "e" if front else "a"
    high = _HIGH[vowel]
    if sound in _FRONT:
        high = "ü" if vowel in "ouû" else "i"
    if ending == "too":
        return f"{word} d{wide}"
    if ending == "ask":
        return f"{word} m{high}"
    if ending == "pl":
        return _join(word, f"l{wide}r")
    open_end = sound[-1] in _VOWELS
    hard = "t" if sound[-1] in _HARD else "d"
    if ending in {"loc", "abl", "ki"}:
        tail = {"loc": "", "abl": "n", "ki": "ki"}[ending]
        return _join(word, f"{'nd' if possessed else hard}{wide}{tail}")
    if ending == "ins":
        return _join(word, f"{'y' if open_end else ''}l{wide}")
    buffer = {"acc": "y", "dat": "y", "gen": "n"}[ending] if open_end else ""
    if possessed and open_end:
        buffer = "n"
    core = {"acc": high, "dat": wide, "gen": f"{high}n"}[ending]
    return _join(word if buffer else _before_vowel(word, possessed=possessed), buffer + core)


def _join(word: str, suffix: str) -> str:
    return f"{word}'{suffix}" if is_name(word.rpartition(" ")[2]) else word + suffix


def _before_vowel(word: str, *, possessed: bool) -> str:
    """The form that a common noun takes before a vowel: açık → açığ-, hacim → hacm-. Names do not change."""
    head, blank, last = word.rpartition(" ")
    if possessed or is_name(last):
        return word
    form = _DROP.get(last) or _SOFT.get(last)
    if form is None:
        syllables = sum(letter in _VOWELS for letter in last)
        if last.endswith("k") and syllables > 1 and last not in _STAYS and last[-2] in _VOWELS:
            form = f"{last[:-1]}ğ"
        elif last.endswith("nk") and syllables > 1:
            form = f"{last[:-1]}g"
        else:
            form = last
    return head + blank + form

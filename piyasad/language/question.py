"""Questions: which lines ask, which ask nobody in particular, and which ask whether we are bots. Pure, on folded text.

Turkish asks with particles and question words, with or without "?", and uses the same words in exclamations and
subordinate clauses. The words that decide are data here; the tests bring 80 lines of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from piyasad.language.text import words_of

_PARTS: Final = re.compile(r"[^.!?…\n]+[.!?…]*")

_PARTICLE: Final = re.compile(
    r"m[iu](?:y[iu]m|s[iu]n|s[iu]n[iu]z|y[iu]z|d[iu]r|yd[iu]|yd[iu]m|yd[iu]n|yd[iu]n[iu]z|yd[iu]k|ym[iu]s|l[ae]r)?"
)
_MOST_AFTER_PARTICLE: Final = 4

_WORDS: Final = frozenset(
    (
        "ne", "neden", "niye", "nicin", "nasil", "nasilsin", "nasilsiniz", "kac", "kaca", "kacta", "kactan", "kaci",
        "kim", "kimler", "kimde", "kimin", "kime", "hangi", "hangisi", "hangisini", "nerede", "nereye", "nereden",
        "neresi", "nerelere", "nedir", "neler", "neyi", "neye", "neyin", "sizce", "sence", "acaba", "naber", "nolur",
        "noldu", "nolacak", "napalim", "napiyorsunuz", "neyden", "kacinci",
    )
)  # fmt: skip
_PHRASES: Final = (
    "bilen var",
    "goren var",
    "fikri olan",
    "onerisi olan",
    "yorumu olan",
    "ne dersiniz",
    "ne var ne yok",
)

# With these in it, a line without "?" does not ask in spite of its question word.
_SET_PHRASES: Final = (
    "ne guzel", "ne iyi", "ne yazik", "ne kotu", "ne mutlu", "ne hos", "ne fena", "ne sans", "ne de ", "ne olursa",
    "ne olur ne olmaz", "ne kadar da", "ne kadar guzel", "ne kadar hakli", "ne kadar dogru", "ne kadar iyi",
    "ne kadar zor", "nasil da", "nasil olsa", "nasil olsun", "kim bilir", "kimbilir", "bir kac", "her ne ", "her kim",
    "hic kimse", "ne gerek", "ne sen sor", "kac kere", "kac kez", "kac defa", "kac gundur", "kac haftadir", "kac aydir",
    "kac yildir", "kac zamandir", "sizce de ", "bence de ", "ne diyeyim", "ne bileyim", "sizce onemli", "sence onemli",
)  # fmt: skip
_SUBORDINATE: Final = re.compile(r"\w*(?:[dt][iu]g[iu]|[ae]c[ae]g[iu])\w*")
_CONDITION: Final = re.compile(r"\w{2,}s[ae](?:m|n|k|n[iu]z|l[ae]r|yd[iu])?")
_NO_CONDITION: Final = frozenset(
    ("borsa", "hisse", "kimse", "yoksa", "kisa", "masa", "arsa", "piyasa", "nesem", "herkese")
)
# What follows a particle that does not ask: "olur mu bilmem", "düştü mü alırım".
_GOES_ON: Final = re.compile(r"(?:bilm|bilem|bilin|belli|emin|soyl|anlat|anlar|gorec|gorur|tarti|farket|umrumda)\w*")
_FIRST_PERSON: Final = re.compile(r"\w{2,}(?:[iuae]r[iu]m|[iuae]r[iu]z|[ae]c[ae]g[iu]m|[ae]c[ae]g[iu]z)")

_RHETORIC: Final = (
    "olur mu oyle", "olur mu hic", "olacak is mi", "daha ne olsun", "ne alaka",
    "yok artik", "ciddi misin",
)  # fmt: skip

_CURIOUS: Final = (
    "merak", "acaba", "sizce", "sence", "ne ders", "ne dusun", "fikri olan", "fikriniz", "fikrin", "bilen var",
    "yorumu olan", "anlamadim", "nasil yani", "aciklar mi", "anlatir mi", "yardimci ol", "tavsiye", "emin degilim",
)  # fmt: skip

_KIND: Final = r"(?:ro)?bot|yapay zeka|ai|chatgpt|gpt|makine|yazilim|insan|gercek|canli|sahte|kurgu"
_YOU: Final = r"m[iu]s[iu]n(?:[iu]z)?|m[iu]yd[iu]n(?:[iu]z)?"
_IDENTITY: Final = re.compile(
    rf"\b(?:{_KIND})(?: (?:bir|bi|biri|birisi|insan|kisi|hesap|hesabi|degil|karakteri?)){{0,3}} (?:{_YOU})\b"
    rf"|\b(?:bu|sen|siz|o|burasi|karsimdaki|bunlar)(?: \w+){{0,2}} (?:ro)?(?:bot|yapay zeka)(?:lar|s[iu]n(?:[iu]z)?)?"
    r" (?:m[iu]|m[iu]d[iu]r|degil m[iu]|dimi|di mi)\b"
    r"|\b(?:ro)?bot (?:m[iu]|m[iu]s[iu]n) (?:insan|gercek) m[iu]\b|\b(?:bot|insan) m[iu] (?:bot|insan|yoksa|bu|var)\b"
    r"|\b(?:bot|robot)la m[iu] (?:konus|yaz)\w*|\b(?:botsun|botsunuz|robotsun|botmusun\w*|insanmisin\w*|gercekmisin\w*)\b"
    r"|\bsen nesin\b|\bare (?:you|u) (?:an? )?(?:real |actual )?(?:bot|robot|ai|human|real|person)\b|\bis this a bot\b"
)
"""Asked of us: "bot musun", "gerçek misin", "insan mısın", "yapay zekâ mısınız", "bot mu insan mı"."""


def is_question(folded: str) -> bool:
    """Whether a folded line asks something, with or without a question mark."""
    return any(_asks(part) for part in _PARTS.findall(folded))


def is_open(folded: str) -> bool:
    """Whether a line asks and wants an answer: not "ne alaka", not a bare "?"."""
    if any(phrase in folded for phrase in _RHETORIC):
        return False
    return is_question(folded)


def is_curious(folded: str) -> bool:
    """Whether a line shows curiosity or asks for opinions; such lines attract replies."""
    return any(sign in folded for sign in _CURIOUS)


def is_identity_question(folded: str) -> bool:
    """Whether a folded line asks if we are bots, real or human, of us and not of the news."""
    return _IDENTITY.search(folded) is not None


def _asks(part: str) -> bool:
    spoken = words_of(part)
    if not spoken:
        return False
    if part.endswith("?") or "?" in part[-3:]:
        return True
    return _asks_by_particle(spoken) or (not part.endswith("!") and _asks_by_word(part, spoken))


def _asks_by_particle(spoken: Sequence[str]) -> bool:
    for at in range(len(spoken) - 1, 0, -1):
        if _PARTICLE.fullmatch(spoken[at]):
            after = spoken[at + 1 :]
            if len(after) > _MOST_AFTER_PARTICLE or any(_GOES_ON.fullmatch(word) for word in after):
                return False
            return not (after and _FIRST_PERSON.fullmatch(after[-1]))
    return False


def _asks_by_word(part: str, spoken: Sequence[str]) -> bool:
    if any(phrase in part for phrase in _PHRASES):
        return True
    first = next((at for at, word in enumerate(spoken) if word in _WORDS), None)
    if first is None or any(phrase in part for phrase in _SET_PHRASES) or spoken.count("ne") > 1:
        return False
    return not any(
        _SUBORDINATE.fullmatch(word) or (word not in _NO_CONDITION and _CONDITION.fullmatch(word))
        for word in spoken[first + 1 :]
    )

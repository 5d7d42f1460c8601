"""Questions: which lines ask, and which ask nobody in particular. Pure, on folded text, linear in it.

Turkish asks with particles and question words, with or without "?", and uses the same words in exclamations and
subordinate clauses. In chat the particle is glued to its word ("yükselirmi"), vowels fall out ("nolcak", "nerde",
"mısn"): rules over word forms know these, no list of wordings does. `identity.py` knows who asks whether we are bots.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from piyasad.language.text import words_of

_PARTS: Final = re.compile(r"[^.!?…\n]+[.!?…]*")

_PARTICLE: Final = re.compile(
    r"m[iu](?:y[iu]m|s[iu]?n|s[iu]?n[iu]?z|y[iu]z|d[iu]r|yd[iu]|yd[iu]m|yd[iu]n|yd[iu]n[iu]z|yd[iu]k|ym[iu]s|ym[iu]s[iu]m|l[ae]r)?"
)
_MOST_AFTER_PARTICLE: Final = 4

# The particle glued to its word. After a consonant it is one, unless the stem itself ends in consonant and m.
_GLUED: Final = re.compile(
    r"(\w+[bcdfghjklmnprstvwxyz])m[iu](?:y[iu][mz]|s[iu]?n(?:[iu]?z)?|d[iu]r|yd[iu](?:[mnk]|n[iu]z)?|ym[iu]s)?"
)
_STEMS_IN_M: Final = re.compile(
    r"alar|\w*for|nor|ter|fil|yir|mer|res|kis|cis|his|az|haz|il|hil|zul|huk|feh|rah|rit|hac|is|has|cur|ger|sper|far|kul"
)
_NOT_GLUED: Final = re.compile(
    r"(?:karm|is[iu]m|olm|alm|yapm|bitm|d[ou]nm|t[ae]m|cumh)\w*|(?!\w*(?:r|s|g)izm)\w+izmi|turizmi"
    r"|(?:gec|alt|yet|dol|gor|bil|kal|yaz|tan[iu]n)m[iu]s[iu]n\w*"  # "geçmişin" has the same letters as "geç misin"
)
# After a vowel "-mi" is mostly "my …" in the accusative. With "you are" or "I am" behind it, it asks ("haklımıyım").
_GLUED_TO_VOWEL: Final = re.compile(r"(?!namus)\w+[aeiou]m[iu](?:s[iu]n(?:[iu]z)?|y[iu][mz])")
# "geldimi", "almalımı", "kapalımı" ask where there is no verb that could have them for its object.
_GLUED_TO_PAST: Final = re.compile(
    r"(?!(?:kend|d[ei]rd|ad|umud|kred|dost|kayd|kanad|ust|alt|evlad|ord|melod|k[ae]st)[iu]m[iu])"
    r"\w+(?:[aeioulmnrvyzgbj]d|[fstkchp]t)[iu]m[iu]"
)
_GLUED_TO_QUALITY: Final = re.compile(r"\w{3,}l[iu]m[iu]|dogrumu|iyimi|kotumu")
_ALTERNATIVE: Final = re.compile(r"\w{2,}m[iu]")
_VERB: Final = re.compile(
    r"\w+(?:[iu]yo(?:r\w*|m|n|z)?|[dt][iu](?:[mkn]|l[ae]r|n[iu]z)?|m[iu]s(?:[iu]m|t[iu]\w*)?|[ae]c[ae][kg]\w*|[aei]r[iu][mz]|m[ae][mz])"
)

_WORDS: Final = frozenset(
    (
        "ne", "neden", "niye", "nicin", "niceden", "kac", "kaca", "kacta", "kactan", "kaci", "kacinci", "kim", "kimler",
        "kimde", "kimin", "kime", "kimden", "kimle", "kiminle", "kimsin", "kimsiniz", "nedir", "neler", "neyi", "neye", "neyin",
        "neyle", "neyden", "neymis", "neydi", "sizce", "sence", "acaba", "nbr",
    )
)  # fmt: skip
_SPELT: Final = re.compile(
    r"n'?o{1,2}l(?:[iu]?yo\w*|[iu]?[cg][ae]?[kgn]?\w*|[ae]c[ae]\w*|d[iu]\w*|[iu]r\w*|m[iu]s|s[ae]\w*)"  # nolcak, nolur, noldu
    r"|n'?a{1,2}[pb](?:[iu]?yo\w*|[iu]?[cg][ae]?\w*|[ae]c[ae]\w*|t[iu]\w*|[ae]l[iu]m|[ae]r\w+|s[ae][kmn]?|m[iu]s\w*|er)"  # napıcaz
    r"|ne(?:ol|yap|d[iu]yo|d[iu]y[iu]|ders[iu]n|ders[iu]n[iu]z|ett?[iu]n|zaman|kadar|icin|dic)\w*"  # neolur, nedersin
    r"|nere?(?:d[ae]|d[ae]n|y[ae]|s[iu]|y[iu]|n[iu]n|l[ae]r(?:[dt][ae]n?|[ae]|[iu])?)(?:s[iu]n(?:[iu]z)?|y[iu]m|y[iu]z|ym[iu]s|yd[iu]\w*|d[iu]r)?"
    r"|n[ae]s{1,2}[iu](?:l(?:s[iu]n(?:[iu]z)?|d[iu]r?|y[iu]z|di)?)?|nsl(?:s[iu]?n)?|n[iu]c[iu]n|n[iu]?ye"
    r"|kacl[ae]r(?:[dt][ae]n?|[ae]|[iu])?|kact[ae]y[iu][mz]|hang[iu](?:s[iu]\w*|l[ae]r\w*|m[iu]z\w*|n[iu]z\w*)?"
)
_PHRASES: Final = (
    "bilen var",
    "goren var",
    "fikri olan",
    "onerisi olan",
    "yorumu olan",
    "ne dersiniz",
    "ne var ne yok",
)
_TAG: Final = re.compile(r"\b(?:dimi|di mi|demi|degil mi)\W*\Z")

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
    ("borsa", "hisse", "kimse", "yoksa", "kisa", "masa", "arsa", "piyasa", "nesem", "herkese", "sise", "sasa")
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


def _asks(part: str) -> bool:
    spoken = words_of(part)
    if not spoken:
        return False
    if part.endswith("?") or "?" in part[-3:]:
        return True
    return _asks_by_particle(spoken) or (not part.endswith("!") and _asks_by_word(part, spoken))


def _asks_by_particle(spoken: Sequence[str]) -> bool:
    """Whether the last particle of a clause asks: little comes after it, and nothing that makes it a condition."""
    for at in range(len(spoken) - 1, max(-1, len(spoken) - 2 - _MOST_AFTER_PARTICLE), -1):
        after = spoken[at + 1 :]
        if (at and _PARTICLE.fullmatch(spoken[at])) or _has_particle(spoken[at], spoken[:at], after):
            if any(_GOES_ON.fullmatch(word) for word in after):
                return False
            return not (after and _FIRST_PERSON.fullmatch(after[-1]))
    return False


def _has_particle(word: str, before: Sequence[str], after: Sequence[str]) -> bool:
    """Whether a word has the particle glued to it."""
    if "mi" not in word and "mu" not in word:
        return False
    if word in ("dimi", "demi"):
        return not after
    found = _GLUED.fullmatch(word)
    if found is not None:
        return not (_STEMS_IN_M.fullmatch(found[1]) or _NOT_GLUED.fullmatch(word))
    if _GLUED_TO_VOWEL.fullmatch(word) or (
        _ALTERNATIVE.fullmatch(word) and before and _ALTERNATIVE.fullmatch(before[-1])
    ):
        return True
    if any(_VERB.fullmatch(each) for each in after):
        return False
    return _GLUED_TO_PAST.fullmatch(word) is not None or (
        _GLUED_TO_QUALITY.fullmatch(word) is not None and not any(_VERB.fullmatch(each) for each in before)
    )


def _asks_by_word(part: str, spoken: Sequence[str]) -> bool:
    if any(phrase in part for phrase in _PHRASES) or _TAG.search(part):
        return True
    first = next((at for at, word in enumerate(spoken) if word in _WORDS or _is_spelt(word)), None)
    if first is None or any(phrase in part for phrase in _SET_PHRASES) or spoken.count("ne") > 1:
        return False
    return not any(
        _SUBORDINATE.fullmatch(word) or (word not in _NO_CONDITION and _CONDITION.fullmatch(word))
        for word in spoken[first + 1 :]
    )


def _is_spelt(word: str) -> bool:
    return word[0] in "nhk" and _SPELT.fullmatch(word) is not None

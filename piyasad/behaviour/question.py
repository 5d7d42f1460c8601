"""Questions: which lines ask, which ask nobody in particular, and which ask whether we are bots. Pure, on folded text.

Turkish marks questions with particles and question words rather than with "?" alone, and uses the same words in
exclamations and subordinate clauses; the phrases that decide are data here, and so are the tests' 80 lines.
"""

from __future__ import annotations

import re
from typing import Final

_ASK = r"(?:m[iu])"
_PERSONS = r"(?:y[iu]m|s[iu]n|s[iu]n[iu]z|y[iu]z|d[iu]r|yd[iu]|ym[iu]s|yd[iu]n|yd[iu]n[iu]z|l[ae]r)?"
_PARTICLE: Final = re.compile(rf"\b{_ASK}{_PERSONS}\b(?P<after>[^.!?…\n]*)")
_WORD: Final = re.compile(
    r"\b(?:neden|niye|nicin|nasil|nasilsin\w*|kac\w{0,3}|kacta|kim|kimler|kimin|hangi|hangisi\w*|nere(?:de|ye|den|si)\w*|"
    r"ne zaman|ne kadar|ne olur|ne olacak|ne oldu|ne oluyor|ne yap\w+|ne dersin\w*|ne diyorsun\w*|ne dus?unuyor\w*|ne bekli\w*|"
    r"ne var|ne haber|naber|nedir|neler|ne is|sizce|sence|acaba|bilen var|gören var|goren var|fikri olan|yorumu olan|onerisi olan)\b"
)
# The same words where nothing is asked: exclamations, indirect questions, set phrases.
_NOT_ASKED: Final = re.compile(
    r"\bne (?:guzel|iyi|yazik|kotu|mutlu|hos|fena|de olsa|olursa olsun|olur ne olmaz|yaparsan|yaparsak|dersen|yazik ki)\b|"
    r"\b(?:ne|nasil|neden|niye|nicin|kac|kim|hangi|nere\w*|ne zaman|ne kadar)\b[^.!?]*?\b\w+(?:d[iu]g[iu]\w*|[ae]c[ae]g[iu]\w*)\b|"
    r"\bne (?:zaman|kadar) \w*(?:s[ae]|s[ae]k|s[ae]m|s[ae]n|s[ae]n[iu]z|s[ae]l[ae]r)\b|"
    r"\b(?:kim|nasil|ne|hangi\w*|nere\w*) [^.!?]*?\w+(?:s[ae]|s[ae]k|s[ae]m|s[ae]n)\b|"
    r"\bkac (?:kere|kez|defa|gundur|haftadir|aydir|yildir|zamandir)\b|\bne kadar (?:da|guzel|iyi|haklisin|dogru|kotu)\b|"
    r"\bnasil (?:da|olsa|olsun)\b|\b(?:bir kac|birkac)\b|\bkim (?:bilir|olsa|ne derse)\b|\bne (?:de|ne) |\bsizce (?:onemli|degerli) olan\b|"
    r"\bhic (?:kim\w*|nere\w*)\b|\bneden[il]\w+|\bsence de oyle\b|\bne \w+ ne (?:de )?\w+"
)
# After the particle: a clause that goes on ("olur mu bilmem", "geldi mi söylerim") does not ask.
_GOES_ON: Final = re.compile(
    r"\b(?:bilm\w+|bilemi\w+|emin degil\w*|soyle\w+|anla(?:r|t)\w*|gor\w+uz|belli degil|belli olmaz|mi (?:\w+ ){0,3}m[iu]\b.*bil\w+|tart\w+|al[iu]r[iu]m|satar[iu]m)\b|^ ?\w*(?:ki|da|de) \w+"
)
_TAG_ONLY: Final = re.compile(
    r"^(?:he|hi|ha|e|ee|ne|what|yok artik|ciddi misin|oyle mi|degil mi|gercekten mi|hadi ya)?[\s?!.]*$"
)
_OPEN_RHETORIC: Final = re.compile(
    r"\b(?:degil mi|olur mu (?:oyle|hic)|olacak is mi|daha ne olsun|ne alaka|bana ne|sana ne|kime ne)\b"
)

_CURIOUS: Final = (
    "merak", "acaba", "sizce", "sence", "ne ders", "ne dusun", "fikri olan", "fikriniz", "fikrin", "bilen var",
    "yorumu olan", "anlamadim", "nasil yani", "aciklar mi", "anlatir mi", "yardimci ol", "tavsiye", "emin degilim",
)  # fmt: skip

_IDENTITY: Final = re.compile(
    r"\b(?:bot|robot|yapay zeka|ai|chatgpt|gpt|makine|program|yazilim|insan|gercek(?: bir)?(?: insan| kisi| biri)?|canli|sahte)"
    r"(?:'?s[iu]n)?(?: (?:hesap|mi|mu|biri))? ?m[iu](?:s[iu]n(?:[iu]z)?|yd[iu]n)?\b(?! s[iu]k[iu]|yd[iu]k)|"
    r"\b(?:bot|robot|yapay zeka|insan|gercek) (?:degil )?m[iu]s[iu]n(?:[iu]z)?\b|"
    r"\bsen (?:bir )?(?:bot|robot|yapay zeka)s[iu]n (?:degil mi|dimi|di mi)|\bsen nesin\b|"
    r"\bare (?:you|u) (?:a |an )?(?:bot|robot|ai|human|real|person)\b|\bis this a bot\b"
)
_IDENTITY_OTHER: Final = re.compile(
    r"\b(?:insan|gercek) m[iu](?:d[iu]r)? (?:bu|o) (?:haber|soylenti|rakam|veri|fiyat)|\b(?:haber|rakam|veri|soylenti|yukselis|dusus|bu fiyat|toparlanma)\w* gercek m[iu]\b|"
    r"\b(?:gercek|sahte) m[iu] (?:bu|su)? ?(?:haber|rakam|yukselis|dusus|veri)"
)


def is_question(folded: str) -> bool:
    """Whether a folded line asks something, with or without a question mark."""
    if "?" in folded:
        return not _TAG_ONLY.match(folded.rpartition("\n")[2].strip())
    for found in _PARTICLE.finditer(folded):
        after = found.group("after")
        if not _GOES_ON.search(after) and len(after.split()) <= 4:
            return True
    return bool(_WORD.search(folded)) and not _NOT_ASKED.search(folded) and not folded.rstrip().endswith("!")


def is_open(folded: str) -> bool:
    """Whether a question wants an answer from the room: no exclamation, no tag ("değil mi"), no "ne alaka"."""
    return is_question(folded) and not _OPEN_RHETORIC.search(folded)


def is_curious(folded: str) -> bool:
    """Whether a line shows curiosity or asks for opinions; such lines attract replies."""
    return any(sign in folded for sign in _CURIOUS)


def is_identity_question(folded: str) -> bool:
    """Whether a folded line asks if we are bots, real or human: "bot musun", "gerçek misin", "insan mısın" and kin."""
    return bool(_IDENTITY.search(folded)) and not _IDENTITY_OTHER.search(folded)

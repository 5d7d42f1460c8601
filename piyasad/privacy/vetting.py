"""What a persona may not be: named after somebody known, or made to solicit. Pure; `check` asks before anything runs.

The names stand in `public_names.txt`, with their source. Nothing here judges what a bot says while it runs: guards do.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from importlib.resources import files
from typing import Final

from piyasad.language.text import fold, is_form_of_name, words_of
from piyasad.privacy.mask import mask
from piyasad.privacy.plain import folded, plain

_TOGETHER_LEAST: Final = 8
"""Letters of a whole name that is looked for run together ("elonmusk_bot"); fewer could be anybody's."""

_DIGITS: Final = str.maketrans("013457", "oieast")
_AFTER: Final = r"(?=[^a-z]|\Z|bot|ai|tr|official|resmi|gercek|real|hoca|fan|parodi|fx)"
_SHORT: Final = 4
"""A name of one word is looked for as a whole word; shorter ones only where they are all of the name."""


@cache
def public_names() -> tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]:
    """Every public person: the usual name, and its folded words in all usual forms."""
    text = files("piyasad.privacy").joinpath("public_names.txt").read_text("utf-8")
    rows = [line.split("|") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return tuple((row[0].strip(), tuple(tuple(words_of(fold(form))) for form in row)) for row in rows)


def named_after(name: str, username: str = "") -> str | None:
    """The public person whose name a persona bears, or None.

    In any order and case, with or without Turkish letters, with figures for letters, with words around it, run together
    in the username. A first or a last name alone is nobody's, but for those known by one word.
    """
    bare = fold(plain(name))
    spoken = {*words_of(bare), *words_of(bare.translate(_DIGITS))}
    spoken |= {part for word in tuple(spoken) for part in word.split("_")}
    together = " ".join(fold(plain(each)).translate(_DIGITS) for each in (name, username))
    for known, forms in public_names():
        if any(_is_borne(form, spoken) or _is_together(form, together) for form in forms):
            return known
    return None


def _is_borne(form: tuple[str, ...], spoken: Collection[str]) -> bool:
    if len(form) == 1 and len(form[0]) < _SHORT:
        return form[0] in spoken and len(spoken) == 1
    return all(any(is_form_of_name(word, part) for word in spoken) for part in form)


def _is_together(form: tuple[str, ...], written: str) -> bool:
    whole = "".join(form)
    if len(form) == 1 or len(whole) < _TOGETHER_LEAST or not all(part in written for part in form):
        return False
    orders = (form, form[::-1])
    return any(re.search(rf"(?<![a-z]){r'[^a-z]?'.join(order)}{_AFTER}", written) for order in orders)


_PLACE: Final = r"(?:kanal|grub|grup|vip|premium|sinyal|telegram|whatsapp|discord|instagram|insta|youtube|twitter|sayfa|hesab|site)\w*"
_COME: Final = r"(?:kat[iu]l|gelin\b|gelsin|gel\b|uye ol|abone ol|kayit ol|takip e|davet e|cagir|yonlendir|bekliyor|bekler|ekle|tikla|girin|ugra|paylas|tanit|oner)\w*"
_SOLICITS: Final = re.compile(
    rf"\b{_PLACE}(?: \w+){{0,4}} {_COME}|\b(?:uye|abone|kayit) ol(?:un|unuz|sana|sun|ma\w*|up)?\b"
    r"|\b(?:dm|pm|ozelden|ozele|ozel mesaj|inbox)\w*(?: \w+){0,2} (?:at|yaz|gel|ulas|gonder|ister|istiyor|cek)\w*"
    r"|\b(?:referans|davet|promosyon|indirim|kupon)\w* (?:kod|link|baglant)\w*"
    r"|\b(?:para|usdt|btc|kripto|kapora|ucret|bagis|depozito)\w*(?: \w+){0,3} (?:gonder|yolla|yatir[iu]n|iste|topla|havale)\w*"
    r"|\b(?:bana|bize|benimle|bizimle|ona)(?: \w+){0,2} (?:ulas|iletis|irtibat|basvur)\w*"
    r"|\b(?:ucretli|vip|premium|ozel) (?:sinyal|grup|kanal|danismanlik|uyelik|egitim|analiz|portfoy)\w*"
    r"|\b(?:portfoy yonet|fon topla|musteri (?:bul|kazan|cek)|hesap ac(?:tir|in)|araci kurum(?:a|una) (?:yonlendir|cagir))\w*"
    r"|\b(?:link|baglanti|profil|biyo|bio)\w*(?: \w+){0,2} (?:tikla|bak|paylas|birak|gonder|incele|at\b|atar|atiyor)\w*"
    r"|\b(?:join|subscribe|sign up|follow me|dm me|message me|contact me|text me|invite link|referral|promo code|link in bio|click (?:the|here|my))\b"
)
_NEGATED: Final = re.compile(
    r"\b(?:asla|hic|hicbir|degil|yok|kimseyi|kimseye|never|no|not|don't|doesn't|won't)\b|\b(?!olma)\w{2,}m[ae](?:z|m|yiz|k|mali|di|din|yin|)\b|"
    r"\b\w{2,}m[iu]yor\w*|\b\w{2,}m[ae]d[ae]n\b"
)
_URGES: Final = re.compile(r"\b(?:unutma|cekinme|kacirma|gecikme|durma|don't (?:forget|miss))\w*")
_CLAUSE: Final = re.compile(r"[.!?…;\n,]+|\b(?:ama|fakat|ancak|but)\b")


def soliciting(text: str, ours: Collection[str] = ()) -> str | None:
    """The part of a persona's text that links, gives contact data or asks people somewhere; None: it does not.

    Not for never-do lists: they name what is forbidden.

    Args:
        ours: our bots' handles (lower case), which may stand in a text.
    """
    written = plain(text)
    if mask(written, ours) != written:
        return text
    low = folded(written)
    at = 0
    for end in (*_CLAUSE.finditer(low), None):
        stop = end.start() if end else len(low)
        clause = low[at:stop]
        if _SOLICITS.search(clause) and not _NEGATED.search(_URGES.sub("", clause)):
            return written[at:stop].strip()
        at = end.end() if end else stop
    return None

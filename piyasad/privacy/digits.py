"""Numbers that identify somebody: phones, national and tax ids, cards, IBANs, plates. Pure, linear in the text.

What is one is told by its length, its grouping and, where it has any, its check digits; a figure of the market is none.
Only `contacts.py` calls it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from stdnum import iban, luhn
from stdnum.tr import tckimlik, vkn

PHONE, IBAN, NATIONAL_ID, TAX_ID, CARD, PLATE = (
    "[telefon]", "[iban]", "[kimlik no]", "[vergi no]", "[kart no]", "[plaka]",
)  # fmt: skip


class Find(NamedTuple):
    """A part of a text, and what stands in its place."""

    start: int
    end: int
    label: str


_FEWEST, _MOST = 7, 19  # digits
_GROUPS_MOST: Final = 6  # of a number without a 0 in front
_WORTH_IT: Final = re.compile(r"(?:\d\D{0,3}){7}")
_GROUP: Final = re.compile(r"\d+")
_BETWEEN: Final = re.compile(r"[ \u00a0.,\-–—/_*()\[\]·•|~']{1,3}")
_DECIMAL: Final = frozenset((".", ","))

_MOBILE: Final = r"5(?:0[1-9]|[1-6]\d|9\d)\d{7}"
_FIXED: Final = r"(?:[2-4]\d[02468]|8(?:00|11|22|50|88)|900)\d{7}"
_WITH_ZERO: Final = re.compile(rf"0(?:{_MOBILE}|{_FIXED})")
_WITH_COUNTRY: Final = re.compile(rf"90(?:{_MOBILE}|{_FIXED})")
_TEN_MOBILE: Final = re.compile(_MOBILE)
_TEN_FIXED: Final = re.compile(_FIXED)
_TEN_GROUPS: Final = frozenset(((10,), (3, 3, 2, 2), (3, 3, 4), (3, 7), (3, 2, 2, 3), (3, 4, 3), (6, 4), (6, 2, 2)))
_FIXED_GROUPS: Final = frozenset(((3, 3, 2, 2), (3, 3, 4), (3, 7)))
_444_GROUPS: Final = frozenset(((7,), (3, 1, 3), (3, 2, 2), (3, 4)))
_COUNTRY: Final = re.compile(
    r"1(?=[2-9])|7(?=[3-9])|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|2[1-689]\d|3[578]\d|42\d|50\d|59\d|67\d|68\d|85\d|88\d|96\d|97\d|99\d"
)
_CARD: Final = re.compile(r"4|5|6|3[47]|9792|2[2-7]")
_CARD_GROUPS: Final = frozenset(((4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 5), (4, 4, 4, 4, 3), (8, 8)))
_ID_GROUPS: Final = frozenset(((11,), (3, 3, 3, 2), (5, 3, 3), (3, 4, 4), (4, 4, 3), (3, 3, 5), (5, 6), (6, 5)))

_UNIT: Final = re.compile(
    r"['\w]{0,5}\s{0,2}(?:tl|try|lira|kurus|[$€₺£%]|usd|dolar|euro|eur|lot|adet|hisse|pay|puan|baz|milyon|milyar|trilyon|bin|kisi|gr|gram|ons|"
    r"btc|eth|kontrat|hacim|oy|ton|varil|metre|kwh|mw)"
)
_AMOUNT_BEFORE: Final = re.compile(r"(?:[$€₺£%=]|hacmi?|degeri|toplam|ciro(?:su)?|kari?|net|sayisi|puan)\W{0,2}\Z")
_CALL_BEFORE: Final = re.compile(
    r"(?:tel|telefon\w*|no|numara\w*|hat\w*|gsm|cep\w*|whatsapp\w*|wp|fax|faks|iletisim|ara\w*|phone|call|mobile)\W{0,3}(?:\w+\W{1,2})?\Z"
)
_ID_BEFORE: Final = re.compile(r"(?:tc|t\.c\.?|tckn|kimlik\w*)\W{0,3}(?:(?:kimlik\w*|no\w*|numara\w*)\W{0,3}){0,2}\Z")
_TAX_BEFORE: Final = re.compile(r"(?:vkn|vergi\w*|tax)\W{0,3}(?:(?:kimlik\w*|no\w*|numara\w*|id)\W{0,3}){0,2}\Z")
_LOOK_BACK: Final = 32
_TELLING: Final = re.compile(r"[a-z$€₺£%=]")

_PLATE: Final = re.compile(r"(?<![\w.,])(0[1-9]|[1-7]\d|8[01])([ -]?)([a-z]{1,3})\2(\d{2,5})(?![a-z_\d]|[.,]\d)")
_PLATE_DIGITS: Final = {1: (4, 5), 2: (3, 4), 3: (2, 3)}
_NO_PLATE: Final = frozenset(
    (
        "tl", "usd", "eur", "gbp", "btc", "eth", "xrp", "bnb", "sol", "try", "chf", "jpy", "yen", "lot", "bin", "gr", "kg", "km", "mm", "cm", "ay",
        "yil", "gun", "ile", "ve", "ons", "pay", "mw", "gw", "hz", "gb", "mb", "tb", "am", "pm", "kdv", "dk", "sn", "mn", "mr", "kez", "kat", "bps",
        "ha", "de", "da", "ton", "mi", "mu", "ya", "ye", "bir", "iki", "uc", "on", "yuz", "tam", "den", "dan", "to", "and", "or", "of", "x",
    )
)  # fmt: skip
_CAR_NEAR: Final = re.compile(r"plaka|arac|araba|oto\b|kamyon|motor")

_IBAN: Final = re.compile(r"(?<![a-z0-9])[a-z]{2}[ .-]?\d{2}(?:[ .-]{0,2}[a-z0-9]){11,30}")
_IBAN_BACK: Final = 3
_IBAN_SIZES: Final = {
    country: size
    for size, countries in (
        (15, "no"), (16, "be"), (18, "dk fi fo gl nl"), (19, "mk si"), (20, "at ba ee kz lt lu xk"), (21, "ch hr li lv"),
        (22, "bg bh cr de gb ge ie me rs va"), (23, "ae gi il iq"), (24, "ad cz es md pk ro sa se sk tn vg"), (25, "pt"), (26, "is tr"),
        (27, "fr gr it mc mr sm"), (28, "al az by cy do gt hu lb pl"), (29, "br eg ps qa ua"), (30, "jo kw mu"), (31, "mt sc"), (32, "lc"),
    )
    for country in countries.split()
}  # fmt: skip
_CODED: Final = re.compile(r"(?<![a-z0-9])[a-z]{2}\Z")
_CODE_DIGITS: Final = 32

_NUMBER_WORDS: Final = {
    **dict.fromkeys(("sifir", "bir", "iki", "uc", "dort", "bes", "alti", "yedi", "sekiz", "dokuz"), 1),
    **dict.fromkeys(("on", "yirmi", "otuz", "kirk", "elli", "altmis", "yetmis", "seksen", "doksan"), 2),
    "yuz": 3,
}  # fmt: skip
_SPOKEN: Final = re.compile(rf"(?<!\w)(?:(?:{'|'.join(_NUMBER_WORDS)}|\d{{1,4}})(?!\w)[ ,.\-]{{0,3}}){{6,24}}")


def finds(text: str, folded: str) -> Iterator[Find]:
    """What identifies somebody by number in a plain text, from left to right by kind; finds of one kind do not overlap.

    Args:
        folded: `plain.folded` of the text.
    """
    if _WORTH_IT.search(text):
        yield from _ibans(folded)
        yield from _runs(text, folded)
    yield from _plates(text, folded)
    if may_be_spoken(folded):
        yield from spoken(folded)


# --- runs of digits


def _runs(text: str, folded: str) -> Iterator[Find]:
    """Groups of digits with little between them, searched for numbers that begin and end with a group."""
    groups = [(match.start(), match.end()) for match in _GROUP.finditer(text)]
    between = [_joint(text, a[1], b[0]) for a, b in itertools.pairwise(groups)] + [None]
    at = 0
    while at < len(groups):
        if groups[at][1] - groups[at][0] == 2 and _CODED.search(folded, max(0, groups[at][0] - 3), groups[at][0]):
            at = _after_code(groups, between, at)
            continue
        found = _number(text, folded, groups, between, at)
        if found is None:
            at += 1
            continue
        last, label = found
        yield Find(*_with_brackets(text, groups[at][0], groups[last][1]), label)
        at = last + 1


def _after_code(groups: Sequence[tuple[int, int]], between: Sequence[str | None], at: int) -> int:
    """The group after what has an IBAN's form and none of its check digits."""
    size = 0
    while True:
        size += groups[at][1] - groups[at][0]
        at += 1
        if between[at - 1] is None or size + groups[at][1] - groups[at][0] > _CODE_DIGITS:
            return at


def _joint(text: str, end: int, start: int) -> str | None:
    """What joins two groups to one number; None where they are two numbers."""
    if start - end > 3:
        return None
    sign = text[end:start]
    return sign if _BETWEEN.fullmatch(sign) else None


def _number(
    text: str, folded: str, groups: Sequence[tuple[int, int]], between: Sequence[str | None], at: int
) -> tuple[int, str] | None:
    """The number that begins with a group: the index of its last group, and what it is."""
    start = groups[at][0]
    if at and between[at - 1] in _DECIMAL:
        return None  # the middle of a figure
    digits, sizes, joints = "", (), ()  # type: str, tuple[int, ...], tuple[str, ...]
    best: tuple[int, str] | None = None
    for last in range(at, len(groups)):
        digits += text[groups[last][0] : groups[last][1]]
        sizes += (groups[last][1] - groups[last][0],)
        if len(digits) > _MOST or _is_hopeless(digits, sizes):
            break
        joint = between[last]
        if len(digits) >= _FEWEST and joint not in _DECIMAL:
            label = _kind(digits, sizes, joints, text, folded, start, groups[last][1])
            if label:
                best = last, label
        if joint is None:
            break
        joints += (joint,)
    return best


def _is_hopeless(digits: str, sizes: tuple[int, ...]) -> bool:
    """Whether no number of any kind begins so: spares the long lists of figures."""
    if digits[0] != "0":
        return len(sizes) > _GROUPS_MOST
    return len(digits) > 1 and digits[1] not in "234589" and (digits[1] != "0" or sizes[0] < 2)


def _kind(
    digits: str, sizes: tuple[int, ...], joints: tuple[str, ...], text: str, folded: str, start: int, end: int
) -> str:
    """What a number is by its digits, their groups and what stands around it; "" for a figure."""
    count = len(digits)
    head = text[start - 1] if start else ""
    if head.isalpha() and not (head in "oO" and count == 10 and _TEN_MOBILE.fullmatch(digits)):
        return PHONE if count == 11 and _WITH_ZERO.fullmatch(digits) and "," not in "".join(joints) else ""
    if head == "+" and _is_international(digits, sizes, joints):
        return PHONE
    if digits[0] == "0":
        listed = any("," in joint for joint in joints) and sizes[0] != 4
        if count == 11 and _WITH_ZERO.fullmatch(digits) and not listed:
            return PHONE
        if digits.startswith("00") and sizes[0] >= 2 and _is_international(digits[2:], sizes, joints):
            return PHONE
        return ""
    if _is_thousands(sizes, joints):
        return ""
    before = folded[max(0, start - _LOOK_BACK) : start]
    before = before if _TELLING.search(before) else ""
    if 13 <= count <= _MOST:
        fits = len(sizes) == 1 or sizes in _CARD_GROUPS
        return CARD if fits and _CARD.match(digits) and luhn.is_valid(digits) else ""
    if count == 12:
        return PHONE if _WITH_COUNTRY.fullmatch(digits) and sizes[0] in {2, 5, 12} else ""
    if count == 11:
        fits = sizes in _ID_GROUPS or _ID_BEFORE.search(before) is not None
        return NATIONAL_ID if fits and tckimlik.is_valid(digits) else ""
    if count == 10:
        return _of_ten(digits, sizes, before, head, folded, end)
    if count == 7:
        if _UNIT.match(folded, end) or _AMOUNT_BEFORE.search(before):
            return ""
        local = sizes == (3, 2, 2) and _CALL_BEFORE.search(before)
        return PHONE if (digits.startswith("444") and sizes in _444_GROUPS) or local else ""
    return ""


def _of_ten(digits: str, sizes: tuple[int, ...], before: str, head: str, folded: str, end: int) -> str:
    if head and head in "oO":
        return PHONE
    tax = (sizes == (10,) or _TAX_BEFORE.search(before) is not None) and vkn.is_valid(digits)
    mobile = sizes in _TEN_GROUPS and _TEN_MOBILE.fullmatch(digits) is not None
    fixed = _TEN_FIXED.fullmatch(digits) is not None and (
        sizes in _FIXED_GROUPS or _CALL_BEFORE.search(before) is not None
    )
    if tax and (sizes != (10,) or _TAX_BEFORE.search(before)):
        return TAX_ID
    if not (tax or mobile or fixed) or digits.endswith("00000"):
        return ""
    if _UNIT.match(folded, end) or _AMOUNT_BEFORE.search(before):
        return ""
    return PHONE if mobile or fixed else TAX_ID


def _is_international(digits: str, sizes: tuple[int, ...], joints: tuple[str, ...]) -> bool:
    code = _COUNTRY.match(digits)
    if not 10 <= len(digits) <= 15 or code is None:
        return False
    if max(sizes[1:], default=15) < 3 and code.end() != sizes[0]:
        return False
    return not _is_thousands(sizes, joints) and not any("," in joint for joint in joints)


def _is_thousands(sizes: tuple[int, ...], joints: tuple[str, ...]) -> bool:
    """1.000.000, 5 321 234 567: a figure with its thousands apart."""
    return (
        len(sizes) > 1
        and sizes[0] <= 3
        and all(size == 3 for size in sizes[1:])
        and len(set(joints)) == 1
        and joints[0] in {".", ",", " ", "\u00a0", "'"}
    )


def _with_brackets(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the sign, the bracket or the letter o in front of the first group, and its other half behind."""
    while start and text[start - 1] in "+([" and end - start < 40:
        start -= 1
    if start and text[start - 1] in "oO" and (start == 1 or not text[start - 2].isalnum()):
        start -= 1
    inside = text[start:end]
    if inside.count("(") > inside.count(")"):
        if end < len(text) and text[end] == ")":
            end += 1
        elif inside.startswith("("):
            start += 1
    return start, end


# --- letters and digits


def _ibans(folded: str) -> Iterator[Find]:
    at = 0
    while found := _IBAN.search(folded, at):
        end = _iban_end(found[0])
        if end:
            yield Find(found.start(), found.start() + end, IBAN)
            at = found.start() + end
        else:
            at = found.start() + _IBAN_BACK


def _iban_end(written: str) -> int:
    """How much of a text is an IBAN whose check digits are right; 0: nothing."""
    size = _IBAN_SIZES.get(written[:2], 0)
    if not size:
        return 0
    places = [at for at, sign in enumerate(written) if sign.isalnum()][:size]
    compact = "".join([written[at] for at in places])
    if len(places) < size or int("".join([str(int(sign, 36)) for sign in compact[4:] + compact[:4]])) % 97 != 1:
        return 0  # most of what looks like one; the country's own form is proven only then
    return places[-1] + 1 if iban.is_valid(compact.upper()) else 0


def _plates(text: str, folded: str) -> Iterator[Find]:
    for found in _PLATE.finditer(folded):
        letters, number = found[3], found[4]
        few, many = _PLATE_DIGITS[len(letters)]
        near = _CAR_NEAR.search(folded, max(0, found.start() - _LOOK_BACK), found.end() + 16) is not None
        fits = few <= len(number) <= many and letters not in _NO_PLATE
        if not near and (not fits or (len(letters) == 1 and 1900 <= int(number) < 2100)):
            continue
        written = text[found.start(3) : found.end(3)]
        if (written.isupper() and written.isascii()) or not found[2] or near:
            yield Find(found.start(), found.end(), PLATE)


# --- spoken numbers


def may_be_spoken(folded: str) -> bool:
    """Whether a text may hold a phone number in words at all."""
    return "sifir" in folded or "bes yuz" in folded


def spoken(folded: str) -> Iterator[Find]:
    """A phone number in words: "sıfır beş yüz otuz iki …"."""
    for found in _SPOKEN.finditer(folded):
        said = re.findall(r"\w+", found[0])
        starts = said[0] in {"sifir", "0"} or said[0].startswith("05") or said[:2] == ["bes", "yuz"]
        if starts and 10 <= _spoken_digits(said) <= 12:
            yield Find(found.start(), found.start() + len(found[0].rstrip(" ,.-")), PHONE)


def _spoken_digits(said: Sequence[str]) -> int:
    """How many digits number words stand for: "beş yüz otuz iki" three, "otuz iki" two, "iki" one."""
    total, room = 0, 0  # `room`: lower places that the next word may still fill
    for at, word in enumerate(said):
        size = _NUMBER_WORDS.get(word)
        if size is None:
            total, room = total + len(word), 0
        elif size == 1:
            if at + 1 < len(said) and said[at + 1] == "yuz" and word != "sifir":
                continue  # "beş" of "beş yüz"
            total, room = (total, 0) if room and word != "sifir" else (total + 1, 0)
        elif size == 2:
            total, room = (total if room == 2 else total + 2), 1
        else:
            total, room = total + 3, 2
    return total

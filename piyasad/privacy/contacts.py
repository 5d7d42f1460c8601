"""Where somebody can be found: e-mail, links and domains, handles, wallets, numbers; however they are written.

Pure, linear in the text. `mask.py` calls it with a plain text; names are `names.py`'s matter.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection
from typing import Final

from piyasad.privacy import digits
from piyasad.privacy.digits import Find
from piyasad.privacy.plain import folded

MAIL, LINK, HANDLE, WALLET = "[e-posta]", "[bağlantı]", "[kullanıcı]", "[cüzdan]"
PLACEHOLDERS: Final = (
    MAIL, LINK, HANDLE, WALLET, digits.PHONE, digits.IBAN, digits.NATIONAL_ID, digits.TAX_ID, digits.CARD, digits.PLATE,
)  # fmt: skip

_SIGNS: Final = ("@", "#", "//", "www", "nokta", "dot", "kuyruklu")
_WORTH_IT: Final = re.compile(r"\.\w|\s\.|[\[({<]\s?(?:at|et|a|dot|nokta|\.)\W|[:=]")
_FIGURE: Final = re.compile(r"\d")

_TLD: Final = (
    r"(?:com|net|org|info|xyz|io|co|tr|me|gov|edu|gg|app|dev|link|site|online|shop|club|pro|biz|tv|fm|ly|uk|de|nl|fr|eu|ru|az|at|ch|"
    r"blog|store|vip|finance|capital|exchange|click|page|ai|cc|to|us|gl|be)"
)
_PATH: Final = r"[^\s<>\"“”»]*[^\s<>\"“”».,;:!?)\]}'’]"
_TIES: Final = r"(?:ai|cc|to|us|gl|be|de|at|ch|pro|page|vip|link|club|finance|capital)"
"""Ends of domains that are words or typing errors elsewhere: believed only with a path behind."""

_URL: Final = re.compile(rf"(?<!\w)(?:(?:h(?:tt|xx)ps?|ftp|tg|ton|tonsite)://|www\.){_PATH}")
_DOMAIN: Final = re.compile(
    rf"(?<![\w@.\-])(?:[\w-]{{1,63}}\.){{1,5}}(?:(?!{_TIES}\b(?!/)){_TLD})(?![\w@-])(?!\.[a-z])(?:/{_PATH}|/)?"
)
_DOT: Final = r"(?:\s{0,2}[\[({<]\s{0,2}(?:nokta|dot|\.)\s{0,2}[\])}>]\s{0,2})"
_DOT_WORD: Final = r"(?:\s{1,2}(?:nokta|dot)\s{1,2})"
_DOT_APART: Final = r"(?:\s{1,2}\.\s{0,2}|\.\s{1,2})"
_DOMAIN_SPELT: Final = re.compile(
    rf"(?<![\w@.\-'])[a-z0-9_\-]{{1,63}}\s{{1,2}}\.\s{{0,2}}[a-z]{{2,4}}/{_PATH}|(?<![\w@.\-'])[a-z0-9_\-]{{2,63}}(?:{_DOT}{_TLD}|{_DOT_WORD}(?:com|org|net|info|xyz|io|co|me|gov|edu)|\s{{1,2}}\.\s{{0,2}}(?:com|org|info|xyz))"
    rf"(?:(?:{_DOT}|{_DOT_WORD}|\s?\.\s?)(?:tr|uk|net))?(?!\w)(?!\s(?:balon|kriz|crisis|bubble|crash|boom|era|devri|donem|cilgin|sirket))(?:/{_PATH})?"
)
_NO_LABEL: Final = re.compile(
    r"(?:bu|su|o|her|bir|son|ilk|tek|en|kritik|onemli|kilit|ana|temel|ikinci|ucuncu|the|this|that|one|a)\s"
)
_TYPING_ERROR: Final = re.compile(r"(?:[dt][iu]|yor|m[iu]s|c[ae]k)\.(?:net|me|co|at)\Z")

_LOCAL: Final = r"(?<![\w.+\-])[\w][\w.+\-]{0,63}"
_AT: Final = r"(?:\s{0,2}[\[({<]\s{0,2}(?:at|et|@|a|kuyruklu(?: a)?)\s{0,2}[\])}>]\s{0,2}|\s?@\s?)"
_HOST: Final = rf"[\w\-]{{1,63}}(?:(?:\.|{_DOT}|{_DOT_WORD}|{_DOT_APART})[\w\-]{{2,24}}){{1,4}}"
_POST: Final = r"(?:gmail|googlemail|hotmail|outlook|yahoo|icloud|yandex|proton(?:mail)?|mynet|msn)"
_MAIL: Final = re.compile(
    rf"{_LOCAL}{_AT}(?:[\w\-]{{1,63}}(?:(?:\.|{_DOT}|{_DOT_WORD}|\s?\.\s?)(?:{_TLD}|[a-z]{{2,24}}(?=\W|\Z))){{1,4}}|{_POST})(?![\w])"
    rf"|{_LOCAL}\s(?:at|et|kuyruklu a)\s[\w\-]{{2,63}}(?:(?:{_DOT}|{_DOT_WORD}|\.)(?:com|net|org|info|xyz|io|co|tr|edu|gov|me|uk)){{1,3}}(?!\w)"
)

_WALLET: Final = re.compile(r"(?<!\w)(?:0x[0-9a-f]{38,64}|[a-z0-9]{26,128})(?!\w)")
_CODE: Final = re.compile(r"[a-z]{2,3}\d+")

_HANDLE: Final = re.compile(r"(?<![\w@])@([^\W\d_]\w{1,31})((?:\.\w{1,30}){0,3})")
_TAGGED: Final = re.compile(r"(?<![\w#&])[a-z][\w.]{1,31}#\d{4}(?!\w)")
_SERVICE: Final = re.compile(
    r"(?<!\w)(?:instagram|insta|ig|telegram|tg|twitter|discord|skype|snap(?:chat)?|tiktok|linkedin|facebook|signal)(?:'?\w{1,6})?\s{0,2}[:=]\s{0,2}"
    r"@?([\w][\w.]{2,39})(?=\s|\Z|[,;!?)])"
)
_PLAIN_VALUE: Final = re.compile(r"[^\W\d_]+")


def hide(text: str, low: str, stays: Callable[[str], bool], *, ours: Collection[str] = ()) -> str:
    """A plain text without any of these; placeholders stand in their places.

    Args:
        low: `plain.folded` of the text.
        stays: whether what stands behind an @ (folded) is a name, which `names.py` hides as whose it is.
        ours: our bots' handles, lower case; they stay.
    """
    found: list[Find] = []
    if any(sign in low for sign in _SIGNS) or _WORTH_IT.search(low):
        text, low = _written_out(text, low, found, stays, ours)
    if _FIGURE.search(low):
        found += [Find(m.start(), m.end(), WALLET) for m in _WALLET.finditer(low) if _is_wallet(m[0])]
        found += digits.finds(text, low)
    elif digits.may_be_spoken(low):
        found += digits.spoken(low)
    return _without(text, found) if found else text


def _written_out(
    text: str, low: str, found: list[Find], stays: Callable[[str], bool], ours: Collection[str]
) -> tuple[str, str]:
    """Addresses and links first: what is inside of them is no number and no handle of its own."""
    for pattern, label in ((_URL, LINK), (_MAIL, MAIL)):
        if spans := [Find(match.start(), match.end(), label) for match in pattern.finditer(low)]:
            text = _without(text, spans)
            low = folded(text)
    domains = [Find(m.start(), m.end(), LINK) for m in _DOMAIN.finditer(low) if _is_domain(m, text)]
    domains += [
        Find(m.start(), m.end(), LINK) for m in _DOMAIN_SPELT.finditer(low) if not _NO_LABEL.match(low, m.start())
    ]
    if domains:
        text = _without(text, domains)
        low = folded(text)
    found += [
        Find(m.start(), m.end(), HANDLE)
        for m in _HANDLE.finditer(low)
        if m[1] not in ours and (m[2] or not stays(m[1]))
    ]
    found += [Find(m.start(), m.end(), HANDLE) for m in _TAGGED.finditer(low)]
    for match in _SERVICE.finditer(low):
        value = match[1]
        last = not low[match.end() :].strip(" .,;!?)")
        if last or not _PLAIN_VALUE.fullmatch(value):
            found.append(Find(match.start(1), match.end(1), HANDLE))
    return text, low


def _is_domain(match: re.Match[str], text: str) -> bool:
    """Whether dots between letters make a domain, not a sentence that lacks its blank ("aşıldı.Net kâr")."""
    written = text[match.start() : match.end()]
    end = written.partition("/")[0].rpartition(".")[2]
    if not end.islower() and written.partition("/")[0].upper() != written.partition("/")[0]:
        return False
    return "/" in match[0] or not _TYPING_ERROR.search(match[0])


def _is_wallet(word: str) -> bool:
    """Whether a long word is a code: letters and figures in turns."""
    if word.startswith("0x"):
        return True
    turns = sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(word))
    return turns >= 3 and _CODE.fullmatch(word) is None


def _without(text: str, finds: list[Find]) -> str:
    """The text with the finds replaced; of two that overlap the one that begins first, the longer of equals."""
    parts: list[str] = []
    done = 0
    for start, end, label in sorted(finds, key=lambda find: (find.start, -find.end)):
        if start >= done:
            parts += (text[done:start], label)
            done = end
    return "".join((*parts, text[done:]))

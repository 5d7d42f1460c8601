"""Clean-up before the guards: what models put around a line goes; nothing is added, nothing inside a sentence changes.

Called by `turn.py` on every completion. After it and the guards no step changes the text any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_THINK = re.compile(r"<(think|thinking|reasoning|analysis)\b[^>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_STRAY_THINK_END = re.compile(r"\A.*?</(?:think|thinking|reasoning|analysis)\s*>", re.IGNORECASE | re.DOTALL)
_FENCE = re.compile(r"```[a-zA-Z]*\n?|```")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\s]*\)")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{2,3}|~~)(?=\S)(.+?)(?<=\S)\1(?![\w*])", re.DOTALL)
_SINGLE_UNDERSCORE = re.compile(r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)")
_CODE = re.compile(r"`([^`\n]*)`")
_LINE_START = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*•–][ \t]+|\d{1,2}[.)][ \t]+)", re.MULTILINE)
_HASHTAG_TAIL = re.compile(r"(?:\s*#\w+)+\s*\Z")
_HASHTAG = re.compile(r"(?<!\w)#(?=\w)")
_SPACE = re.compile(r"\s+")
_SPACE_BEFORE_MARK = re.compile(r"\s+([,.;:!?…])(?=\s|\Z)")
_OPENER = re.compile(
    r"\A(?:tabii ki|tabi ki|tabii|elbette|memnuniyetle)\s*[!.,:]\s*"
    r"(?:işte\b[^:.!]{0,60}[:!]\s*)?|\A(?:işte|here is|here's|sure|of course|certainly)\b[^.!?]{0,60}[:!]\s*",
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(
    r"[\s(*–-]*(?:\bnot\s*:\s*|\buyarı\s*:\s*|\bdisclaimer\s*:\s*)?"
    r"(?:bu(?:nlar|\s+mesaj|\s+yazı|\s+yorum|\s+görüşler)?\s+(?:bir\s+)?(?:kesinlikle\s+)?)?"
    r"(?:y\.?t\.?d\.?|yat[ıi]r[ıi]m tavsiyesi(?:\s+niteliği\s+taşımaz|\s+içermez|\s+değil(?:dir)?)|"
    r"not financial advice|nfa)\s*[).!*]*\s*\Z",
    re.IGNORECASE,
)
_QUOTES = {'"': '"', "“": "”", "”": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`"}


def _without_markdown(text: str) -> str:
    text = _FENCE.sub("", text)
    text = _LINK.sub(r"\1", text)
    text = _LINE_START.sub("", text)
    for _ in range(3):  # nested emphasis
        text = _EMPHASIS.sub(r"\2", text)
    text = _SINGLE_UNDERSCORE.sub(r"\1", text)
    return _CODE.sub(r"\1", text)


def _without_quotes(text: str) -> str:
    while len(text) > 2 and _QUOTES.get(text[0]) == text[-1]:
        inner = text[1:-1]
        if text[0] in inner or text[-1] in inner:  # the quotes belong to the sentence: "a" dedi, "b" dedi
            break
        text = inner.strip()
    return text


@lru_cache(maxsize=20_000)  # a memo of a pure function: each bot's few names, at every line it says
def _prefix_of(names: tuple[str, ...]) -> re.Pattern[str]:
    either = "|".join(re.escape(name) for name in names if name)
    return re.compile(rf"\A(?:🤖\s*)?@?(?:{either})(?:\s*🤖)?\s*[:：]\s*", re.IGNORECASE)


def _without_name(text: str, names: tuple[str, ...]) -> str:
    if ":" not in text and "：" not in text:
        return text
    return _prefix_of(names).sub("", text, count=1)


def clean(text: str, own_names: Iterable[str]) -> str:
    """The line without think blocks, outer quotes, markdown, hashtags, its own name in front, a servile opener or a
    disclaimer tail; white space becomes single spaces. May be empty. Applying it twice changes nothing more.
    """
    names = tuple(own_names)
    for _ in range(6):
        before = text
        text = _THINK.sub(" ", text)
        text = _STRAY_THINK_END.sub(" ", text)
        text = _without_markdown(text)
        text = _HASHTAG_TAIL.sub("", text)
        text = _HASHTAG.sub("", text)
        text = _SPACE_BEFORE_MARK.sub(r"\1", _SPACE.sub(" ", text)).strip()
        text = _without_quotes(text)
        text = _without_name(text, names).strip()
        opened = _OPENER.sub("", text, count=1)
        if opened != text and opened:
            text = opened[0].replace("i", "İ").upper() + opened[1:] if opened[0].islower() else opened
        text = _DISCLAIMER.sub("", text).strip()
        if text == before:
            break
    return text

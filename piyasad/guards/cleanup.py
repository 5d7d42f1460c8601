"""Clean-up before the guards: what models put around a line goes; nothing inside a sentence changes.

Nothing is added but the full stop between the items of a list that is laid out as one line. Called by
`compose.py` on every completion; after it and the guards no step changes the text any more. Every step is linear in the
text's length: gaps in patterns are bounded, stop at the sign they begin with, or are possessive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from piyasad.language.text import sentences, words

ROUNDS = 24
"""So many times is looked for another layer at most; a line without any takes two."""

_SAYS_WORDS = 3
"""What has so many words or more is as good a line as any."""

_MOST_QUOTES = 8
"""Pairs of quotes around a line; who sets more writes no line."""

_MOST_DISCLAIMED = 400
"""Characters of a disclaimer with all that introduces it."""

_TITLE_WORDS = 6
"""A heading of more words is a sentence of the line itself."""

# --- thinking aloud. gpt-oss puts it into channels; the lost control tokens leave "analysis…assistantfinal".
_TAG = r"(?:think|thinking|thought|reasoning|analysis)"
_THINK = re.compile(
    rf"<({_TAG})\b[^<>]{{0,200}}>.*?(?:</\1\s*>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)|◁think▷.*?(?:◁/think▷|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_THINK_END = re.compile(rf"</{_TAG}\s{{0,20}}>|\[/THINK\]|◁/think▷", re.IGNORECASE)
_CHANNEL = re.compile(r"<\|channel\|>([^<]{0,200})(?:<\|constrain\|>[^<]{0,200})?<\|message\|>")
_CHANNEL_PLAIN = re.compile(r"\Aanalysis(?=[A-ZÇĞİÖŞÜ\"“])")
_CHANNEL_FINAL = "assistantfinal"
_TURN_OVER = re.compile(r"(?<=\S)\s*(?:<\|(?:im_end|eot_id|end|return|endoftext)\|>|<end_of_turn>|</s>).*\Z", re.DOTALL)
_CONTROL = re.compile(
    r"<\|(?:im_start|start|start_header_id)\|>\s*(?:assistant|model)?|<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<(?:end_of_turn|start_of_turn)>"
)

# --- layout
_FENCE = re.compile(r"```[a-zA-Z]*\n?|```")
_RULE = re.compile(r"^[ \t]*(?:-[ \t]*){3,}$|^[ \t]*(?:\*[ \t]*){3,}$|^[ \t]*(?:_[ \t]*){3,}$", re.MULTILINE)
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+(.*)")
_BOLD_LINE = re.compile(r"[ \t]*(\*\*|__)(.+?)\1:?[ \t]*", re.DOTALL)
_BLOCKQUOTE = re.compile(r"^[ \t]*>(?!>)[ \t]?", re.MULTILINE)
_BULLET = re.compile(r"[ \t]*(?:[-*•–▪◦‣][ \t]+|(?:[✅👉🔹🔸📌✔➡])\ufe0f?[ \t]*)(?=\S)")
_NUMBER = re.compile(r"[ \t]*(?:\*\*)?\d{1,2}[.)](?:\*\*)?[ \t]+(?=\S)")
_OPEN_END = re.compile(r"(?<![.!?…:;,])[\w%\"”’')\]*]\Z")
_LINK = re.compile(r"!?\[([^\[\]\n]{0,300})\]\([^()\s]{0,500}\)")
_EMPHASIS = re.compile(
    r"(?<![\w*])(?:(\*{1,3})(?=\S)([^*]+)(?<=\S)\1|(_{2,3})(?=\S)([^_]+)(?<=\S)\3|~~(?=\S)([^~]+)(?<=\S)~~)(?![\w*])"
)
_SINGLE_UNDERSCORE = re.compile(r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)")
_CODE = re.compile(r"(`{1,2})([^`\n]*)\1")
_LEFT_OVER = re.compile(r"\*{2,}|(?<!\w)_{2,}|(?<!_)_{2,}(?!\w)")
_HASHTAG = re.compile(r"(?<!\w)#(?=\w)")
_SPACE = re.compile(r"\s+")
_SPACE_BEFORE_MARK = re.compile(r"\s+([,.;:!?…])(?=\s|\Z)")
_QUOTES = {'"': '"', "“": "”", "”": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`"}
_QUOTED = re.compile(r"\A[\"“„«\s]++([^\"“”„«»]*[^\"“”„«»\s])[\"“”»\s]++([.!?…]?)[\"“”»\s]*+\Z")

# --- its own name in front
_COLON = re.compile(r"\A([^:：\n]{1,90})[:：]+[\])>*_]*\s*")
_DASH = re.compile(r"\A([^:：\n—–-]{1,60}?)\s{1,20}[—–-]{1,20}\s+")

# --- a servile opening
_SERVILE = r"(?:tabii ki|tabi ki|tabii|elbette ki|elbette|memnuniyetle|sure|of course|certainly|absolutely)"
_NOUN = (
    r"(?:mesaj|yan[ıi]t|cevap|cevab|yorum|görüş|öneri|örne[kğ]|değerlendirme|analiz|özet|taslak|"
    r"message|response|reply|answer|comment|take|post|version)"
)
_OF_WHAT = r"(?:piyasa|kısa|kısaca|günün|kişisel|benim|teknik|genel|borsa|işte)"
_OPENER = re.compile(
    rf"\A{_SERVILE}\s*(?:[!.,:]\s*[😊🙂😄👍👋✨]?|[😊🙂😄👍👋✨])\s*|"
    rf"\A(?:işte|buyurun|buyrun|here is|here's|this is)\b[^.!?:]{{0,60}}?\b{_NOUN}\w*[^.!?:]{{0,40}}[:!]\s*|"
    rf"\A(?:{_OF_WHAT}\s+){{0,2}}{_NOUN}[ıiuü]?m?\s*:\s*|\A(?:{_OF_WHAT}\s+){{1,2}}(?:not|bakış)[ıiuü]?m?\s*:\s*",
    re.IGNORECASE,
)

# --- a disclaimer tail: a warning at the very end, with whatever may introduce it
_WARNING = (
    r"(?:(?:yat[ıi]r[ıi]m|finansal) (?:tavsiyesi|tavsiye|danışmanlığı)(?:\s+niteliği\s+taşıma\w+|\s+niteliğinde\s+değil(?:dir)?|\s+içermez|"
    r"\s+değil(?:dir)?|\s+sayılma\w+|\s+olarak\s+(?:alg[ıi]lan|değerlendiril|görül|yorumlan|kabul edil)m[ae]\w+)|"
    r"(?:kendi )?araştırman(?:ız)?ı(?: kendin(?:iz)?)? yap(?:ın|ınız|mayı unutma\w*)?|"
    r"(?:lütfen |mutlaka )*(?:bir )?(?:uzman|danışman|profesyonel)\w*(?: danışman\w*)? (?:danış|başvur)\w*|"
    r"(?:yatırım )?kararlar?ın(?:ız)?ı (?:kendi )?araştırman(?:ız)?a göre (?:ver|al)\w*|"
    r"(?:this is |it's |it is )?not (?:financial|investment) advice)"
)
_INTRODUCING = (
    r"(?:bu|bunlar|burada|buradaki|yazd[ıi]klar[ıi]m|yaz[ıi]lanlar|söylediklerim|anlatt[ıi]klar[ıi]m|paylaşt[ıi]klar[ıi]m|yorum\w*|görüş\w*|"
    r"mesaj\w*|yaz[ıi]|içerik|bilgiler|benim|kişisel|sadece|yaln[ıi]zca|hiçbiri|hiçbir|şekilde|kesinlikle|asla|bir|tabii|elbette|unutmay[ıi]n|"
    r"unutma|ki|hat[ıi]rlatay[ıi]m|önemli|not|uyar[ıi]|lütfen|ve|yer|alan|disclaimer|note)"
)
# It begins where a sentence or a clause does, or with a capital where the line before had no full stop. "YTD" stands alone.
_DISCLAIMER = re.compile(
    rf"(?:\A|(?<=[^\w\s])\s{{0,4}}|\s{{1,4}}(?=(?-i:[A-ZÇĞİÖŞÜ(*\[–—⚠❗‼-])))[(*\[–—⚠\ufe0f❗‼\s-]{{0,8}}(?:{_INTRODUCING}(?:[\s*_]{{0,4}}[:,!])?[\s*_]{{1,4}}){{0,12}}\b{_WARNING}\b\s*[.)\]!*…]*\s*\Z|"
    r"(?<![\d%])(?:\A|(?<![\d%])[\s(*\[–—⚠\ufe0f❗‼-]{1,8}(?:(?:not|uyar[ıi])[\s*_]{0,4}:[\s*_]{0,4})?)(?:y\.?t\.?d|nfa|dyor)\b\s*[.)\]!*…]*\s*\Z",
    re.IGNORECASE,
)


def clean(text: str, own_names: Iterable[str], *, cut: bool = False) -> str:
    """The line without think blocks, outer quotes, markdown, hashtags, its own name in front, a servile opener or a
    disclaimer tail; lists become sentences, white space single spaces. May be empty. Applying it twice changes nothing
    more. `cut`: the model was stopped by its token limit; then the sentence that it left unfinished goes too.
    """
    names = tuple(own_names)
    text = _unwrapped(text, names)
    return _unwrapped(_whole(text), names) if cut else text


def _unwrapped(text: str, names: tuple[str, ...]) -> str:
    opened = False
    for _ in range(ROUNDS):
        before = text
        text = _peeled(_without_thoughts(text).strip(), names)
        served = _OPENER.sub("", text, count=1)
        opened = opened or served != text
        text = served or text
        # only when nothing more comes off do lines run together: what stands on a line of its own is known by that
        if text == before:
            text = _flat(text)
        if text == before:
            text = _HASHTAG.sub("", text)
        if text == before:
            break
    return text[0].replace("i", "İ").upper() + text[1:] if opened and text[:1].islower() else text


def _without_thoughts(text: str) -> str:
    channels = list(_CHANNEL.finditer(text))
    if channels:
        last = channels[-1]
        text = text[last.end() :] if last[1].split()[:1] == ["final"] else text[: channels[0].start()]
    if _CHANNEL_PLAIN.match(text):
        text = text.partition(_CHANNEL_FINAL)[2]
    text, blocks = _THINK.subn(" ", text)
    parts = _THINK_END.split(text)
    # An end without a beginning: the template had written that, and what comes before the end is thought. One more end
    # than beginnings: a stray one after the line, or more thought before it; the last part that says something is the line.
    text = max(reversed(parts), key=_says) if blocks else parts[-1]
    # what a model wrote after it had ended its turn is another speaker's
    return _CONTROL.sub(" ", _TURN_OVER.sub("", text))


def _says(part: str) -> int:
    """How surely this is a line and not only marks and tags: the number of its words, to `_SAYS_WORDS`."""
    return min(_SAYS_WORDS, sum(1 for word in part.split() if word[0].isalpha()))


def _peeled(text: str, names: tuple[str, ...]) -> str:
    """One layer less of what stands around a line."""
    text = _without_quotes(_RULE.sub("", _BLOCKQUOTE.sub("", _FENCE.sub("\n", text))).strip())
    lines = [line for line in text.split("\n") if line.strip()]
    first = 0
    while first + 1 < len(lines) and _is_title(lines[first], names):
        first += 1
    text = _without_name("\n".join(lines[first:]).strip(), names).strip()
    return _without_disclaimer(_without_tags(text)).strip()


def _without_tags(text: str) -> str:
    """The text without the hashtags at its end."""
    end = len(text)
    while True:
        last = end
        while last and text[last - 1].isspace():
            last -= 1
        begin = last
        while begin and (text[begin - 1].isalnum() or text[begin - 1] == "_"):
            begin -= 1
        if begin == last or not begin or text[begin - 1] != "#":
            return text[:end]
        end = begin - 1


def _flat(text: str) -> str:
    """The lines as one, the items of a list as sentences, without marks of emphasis."""
    lines = [heading[1] if (heading := _HEADING.fullmatch(line)) else line for line in text.split("\n")]
    numbered = sum(1 for line in lines if _NUMBER.match(line)) > 1  # "3. çeyrek" alone is no list
    laid_out: list[str] = []
    after_item = False
    for line in lines:
        marker = _BULLET.match(line) or (_NUMBER.match(line) if numbered else None)
        body = (line[marker.end() :] if marker else line).rstrip()
        if after_item and laid_out and _OPEN_END.search(laid_out[-1][-2:]):
            laid_out[-1] += "."
        if body:
            laid_out.append(body)
        after_item = marker is not None
    return _SPACE_BEFORE_MARK.sub(r"\1", _SPACE.sub(" ", _without_emphasis("\n".join(laid_out)))).strip()


def _is_title(line: str, names: tuple[str, ...]) -> bool:
    heading = _HEADING.fullmatch(line) or _BOLD_LINE.fullmatch(line)
    title = heading[heading.lastindex or 0] if heading else line
    if " ".join(words(title)) in _keys(names):
        return True
    return heading is not None and len(title.split()) <= _TITLE_WORDS and not re.search(r"[.!?…]\W*\Z", title)


def _without_emphasis(text: str) -> str:
    text = _LINK.sub(r"\1", text)
    for _ in range(3):  # nested emphasis
        text = _EMPHASIS.sub(lambda match: match[2] or match[4] or match[5], text)
    text = _SINGLE_UNDERSCORE.sub(r"\1", text)
    return _LEFT_OVER.sub("", _CODE.sub(r"\2", text))


def _without_quotes(text: str) -> str:
    bold = _BOLD_LINE.fullmatch(text)
    if bold and bold[1] not in bold[2]:
        text = bold[2].strip()
    for _ in range(_MOST_QUOTES):
        if len(text) < 3 or _QUOTES.get(text[0]) != text[-1]:
            break
        inner = text[1:-1]
        doubled = inner[0] == text[0] or inner[-1] == text[-1] or _QUOTES.get(inner[0]) == inner[-1]
        if not doubled and (text[0] in inner or text[-1] in inner):  # they belong to the sentence: "a" dedi, "b" dedi
            break
        text = inner.strip()
    text = _QUOTED.sub(lambda match: match[1] if match[1][-1] in ".!?…" else match[1] + match[2], text)
    marks = [sign for sign in text if sign in '"“”„«»']
    if len(marks) == 1:  # half a pair
        text = text.removeprefix(marks[0]).removesuffix(marks[0]).strip()
    return text


@lru_cache(maxsize=20_000)  # a memo of a pure function: each bot's few names, at every line it says
def _keys(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, (" ".join(words(name)) for name in names)))


@lru_cache(maxsize=20_000)
def _label_of(names: tuple[str, ...]) -> re.Pattern[str]:
    """What a bot may call itself in front of its line, in folded words: name, first name, handle, one after the other."""
    keys = sorted(_keys(names) | {key.partition(" ")[0] for key in _keys(names)}, key=len, reverse=True)
    either = "|".join(map(re.escape, keys)) or r"(?!)"
    return re.compile(
        rf"(?:{either})(?: (?:{either}))*(?: olarak| diyor ki|'?n?[iu]n (?:mesaji|yaniti|cevabi|yorumu))?"
    )


def _without_name(text: str, names: tuple[str, ...]) -> str:
    for shape in (_COLON, _DASH):
        found = shape.match(text)
        if found and _label_of(names).fullmatch(" ".join(words(found[1]))):
            return text[found.end() :]
    return text


def _without_disclaimer(text: str) -> str:
    found = _DISCLAIMER.search(text, max(0, len(text) - _MOST_DISCLAIMED))
    return text[: found.start()].rstrip(" \n,;:–—-(*[") if found else text


def _whole(text: str) -> str:
    """The text up to its last whole sentence; "" when there is none. A figure at the very end may go on ("yüzde 2.")."""
    found = sentences(text)
    if not found:
        return ""
    last = found[-1]
    if re.search(r"[.!?…][\"”’')\]]*\Z", last) and not re.search(r"\d[.]\Z", last):
        return text
    at = text.rfind(last)
    return text[:at].rstrip() if at >= 0 else ""

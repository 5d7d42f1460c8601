"""Forgetting in words: what names or quotes a member, taken out of texts that others wrote. Pure.

The store's `forget` asks an `Eraser` about every text that it keeps; nothing here knows tables. A word too many that
becomes "Üye" in an old line harms nobody, one too few is a broken promise: in doubt it is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from piyasad.language.text import HONORIFICS, fold, is_form_of_name, lower_tr
from piyasad.privacy.harmony import reharmonise

LABEL: Final = "Üye"
"""What stands in a bot's line where a forgotten member was named or quoted."""

HANDLE_LABEL: Final = "[kullanıcı]"
"""What stands in another member's line where their @username was."""

PROMPTS: Final = frozenset({"prompt", "prompts", "request", "messages"})
"""Where a trace keeps what a model was sent: the whole room's words, masked, so that no search finds their author."""

RUN, RUN_TO_THEM = 4, 3
"""So many words in a row as they wrote them are a quotation; fewer in a line that answers them."""

ID_DIGITS = 6
"""Shorter ids are looked for where ids stand only: as a number in a text they could be anything."""

_WORDS: Final = """
    abi abla adil admin ahu akin alev altin analiz arzu aslan asli ates ay aydin baba bahar baris bey bilgi bitcoin
    bora boran borsa bulut burcu can canan cansu celik cem ceylan cicek coskun damla defne demir deniz derin destek
    dilek doga dogan dolar dolunay duru duygu ece efe ege ekim ela elmas emek engin er erdem ergin esen euro evren
    ezgi fidan filiz finans firat gizem gonca gonul gul gumus gun gunes guven haber hanim hazal helin hoca hos huzur
    ilk ilke imge inanc inci ipek irmak isik kaan kara karaca kaya kerem kiraz koray kral kripto kumru kurt kurucu
    lale market mavi melek meric mert mine misafir murat naz nazli nehir neva nisan nur okan onur oya oz ozan ozel
    ozgur ozlem pamuk para pinar piyasa polat poyraz rapor reis ruya ruzgar sahin savas seda sefa seher selin serap
    ses sevgi sevinc sezen sila sinan sirin spor su sude tan tarik tas teknik temel teoman toprak trader tuna tunc
    tuncay turan turk tut ufuk ulke ulku ummu umut usta utku uyar uye uzman uzun vural yagmur yakut yaren yasin
    yatirim yatirimci yaz yazgi yener yeni yeter yigit yildirim yildiz yilmaz yonca yonetici yucel zafer zeki zumrut
"""

WEAK: Final = frozenset(_WORDS.split())
"""Folded names that are words, too."""

_INSIDE = "\u00ad\u200b-\u200f\u2060\ufeff\u0300-\u036f"  # invisible signs and marks that do not end a word
_TOKEN = re.compile(rf"(?P<at>@?)(?P<word>\w[\w{_INSIDE}]*)(?P<rest>['’ʼ´`‘](?P<suffix>\w+))?")
_QUOTED = re.compile(r"“([^”]{1,500})”|\"([^\"]{1,500})\"|«([^»]{1,500})»|‘([^’]{1,500})’|„([^“”]{1,500})[“”]")
_CONTACT = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}|(?:https?://|www\.|t\.me/)\S{1,500}|\b(?:[A-Z]{2})?\d(?:[ .()/-]{0,2}\d){8,33}\b"
)
_ADDRESSED = re.compile(r"\s{0,3}[,!:]")
_OPENS = re.compile(r"(?:\A|[.!?…\n\"“«(])\s*\Z")
_SPAN = tuple[int, int]


class _Token:
    """A word of a text, where it stands, folded without its suffix."""

    __slots__ = ("at", "capital", "end", "folded", "start", "suffix")

    def __init__(self, found: re.Match[str], folded: str) -> None:
        self.start, self.end = found.span()
        self.at = bool(found["at"])
        self.capital = found["word"][0].isupper()
        self.suffix = found["suffix"] or ""
        self.folded = folded


class Eraser:
    """What is to be taken out for one member.

    Args:
        user_id: theirs; None where it is not known.
        names: under which they wrote, as shown.
        handles: their @usernames, without @.
        texts: their own lines, of which others' may hold quotations.
        bots: names of our bots: a word of one means the bot, but for a line that addresses the member.
        is_word: whether a folded name is a word, too: alone it counts only where it stands as a name.
        label: what stands in their place.
    """

    def __init__(
        self,
        user_id: int | None,
        names: Iterable[str],
        handles: Iterable[str],
        texts: Iterable[str] = (),
        *,
        bots: Iterable[str] = (),
        is_word: Callable[[str], bool] = WEAK.__contains__,
        label: str = LABEL,
    ) -> None:
        self._label = label
        self._folds: dict[str, str] = {}
        self.user_id = user_id
        self._id = re.compile(rf"(?<!\d){user_id}(?!\d)") if len(str(user_id or "")) >= ID_DIGITS else None
        names = [name for name in (each.strip() for each in names) if name]
        bot_words = {token.folded for name in bots for token in self._tokens(name)}
        whole = [tuple(token.folded for token in self._tokens(name)) for name in names]
        self._signs = sorted({name for name, words in zip(names, whole, strict=True) if not words}, key=len)
        self._rows = {
            words[at:end] for words in whole for at in range(len(words)) for end in range(at + 2, len(words) + 1)
        }
        singles = {word for words in whole for word in words if len(word) > 1 and not word.isdigit()}
        self._bots = frozenset(singles & bot_words)
        self._weak = frozenset(word for word in singles if is_word(word) or len(word) < 3) - self._bots
        self._sure = frozenset(singles) - self._weak - self._bots
        self._by_start: dict[str, list[str]] = {}
        for word in singles:
            self._by_start.setdefault(word[:2], []).append(word)
        self._handles = frozenset(fold(handle.lstrip("@")) for handle in handles if handle.lstrip("@"))
        self._plain = frozenset(each for each in self._handles if len(each) >= 5 and not is_word(each)) - bot_words
        self._learn(texts)

    def _learn(self, texts: Iterable[str]) -> None:
        contacts: set[str] = set()
        spoken: list[list[str]] = []
        for text in texts:
            contacts.update(map(_contact, _CONTACT.findall(text)))
            spoken.append([token.folded for token in self._tokens(text)])
        self._contacts = frozenset(contacts)
        self._grams = {n: {row for words in spoken for row in _grams(words, n)} for n in (RUN_TO_THEM, RUN)}
        self._short = {tuple(words) for words in spoken if 2 <= len(words) < RUN_TO_THEM}
        self._spoken = "\n".join(f" {' '.join(words)} " for words in spoken)

    def ours(self, text: str, *, to_them: bool = False) -> str:
        """A text of our bots or of the machine: neither named nor quoted. `to_them`: it answers the member."""
        if self._contacts:
            text = _CONTACT.sub(lambda found: self._label if _contact(found[0]) in self._contacts else found[0], text)
        tokens = self._tokens(text)
        spans = [(start, end, self._label) for start, end in self._quotations(text, tokens, to_them=to_them)]
        spans += self._named(text, tokens, to_them=to_them, handle=self._label)
        return self._plainly(_replaced(text, spans))

    def theirs(self, text: str) -> str:
        """Another member's text: their words stay, the name becomes "Üye", the @username is masked."""
        return self._plainly(_replaced(text, self._named(text, self._tokens(text), to_them=False, handle=HANDLE_LABEL)))

    def value(self, value: Any, *, prompts: bool = False) -> Any:
        """JSON of ours, keys included. `prompts`: what a model was sent goes whole."""
        if isinstance(value, str):
            return self.ours(value, to_them=True)
        if isinstance(value, dict):
            kept = ((key, item) for key, item in value.items() if not (prompts and key in PROMPTS))
            return {self.ours(key): self.value(item, prompts=prompts) for key, item in kept}
        if isinstance(value, list):
            return [self.value(item, prompts=prompts) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and self._id is not None and value == self.user_id:
            return None
        return value

    @property
    def pattern(self) -> str:
        """A regular expression of PostgreSQL's that finds every text in which they may be named (and some others)."""
        words = {" ".join(row) for row in self._rows} | self._sure | self._weak | self._bots | self._handles
        found = [_loosely(word) for word in sorted(words)]
        found += [re.sub(r"(\W)", r"\\\1", sign) for sign in self._signs]
        if self._id is not None:
            found.append(str(self.user_id))
        return "|".join(found) or r"\Z."

    # --- names

    def _named(self, text: str, tokens: list[_Token], *, to_them: bool, handle: str) -> list[tuple[int, int, str]]:
        spans: list[tuple[int, int, str]] = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.folded in self._handles and (
                token.at or token.folded in self._plain or text[max(0, token.start - 1) : token.start] == "/"
            ):
                spans.append((token.start, token.end, _with(handle, token)))
                at += 1
                continue
            length = self._row_at(tokens, at) or int(self._single_at(text, tokens, at, to_them=to_them))
            if length:
                spans.append((token.start, tokens[at + length - 1].end, _with(self._label, tokens[at + length - 1])))
            at += length or 1
        return spans

    def _row_at(self, tokens: list[_Token], at: int) -> int:
        """How many words of a name of two or more begin here."""
        best = 0
        for row in self._rows:
            last = at + len(row) - 1
            if len(row) <= best or last >= len(tokens) or tokens[at].folded != row[0]:
                continue
            middle = all(tokens[at + n].folded == row[n] for n in range(1, len(row) - 1))
            if middle and is_form_of_name(tokens[last].folded, row[-1]):
                best = len(row)
        return best

    def _single_at(self, text: str, tokens: list[_Token], at: int, *, to_them: bool) -> bool:
        """Whether a word of their name stands here, as a name."""
        token = tokens[at]
        for name in self._by_start.get(token.folded[:2], ()):
            bare = token.folded == name
            if not bare and not (is_form_of_name(token.folded, name) and (token.capital or len(name) >= 5)):
                continue
            if name in self._sure:
                return True
            addressed = self._addressed(text, tokens, at)
            if name in self._bots:
                return to_them and addressed and token.capital
            if token.at or addressed or (token.capital and (to_them or bool(token.suffix))):
                return True
            if token.capital and not _OPENS.search(text[: token.start]):
                return True
        return False

    def _addressed(self, text: str, tokens: list[_Token], at: int) -> bool:
        following = tokens[at + 1] if at + 1 < len(tokens) else None
        if (
            following is not None
            and following.folded in HONORIFICS
            and not text[tokens[at].end : following.start].strip()
        ):
            return True
        return bool(_ADDRESSED.match(text, tokens[at].end) and _OPENS.search(text[: tokens[at].start]))

    # --- quotations

    def _quotations(self, text: str, tokens: list[_Token], *, to_them: bool) -> list[_SPAN]:
        if not self._spoken:
            return []
        least = RUN_TO_THEM if to_them else RUN
        folded = [token.folded for token in tokens]
        spans = []
        at = 0
        while at + least <= len(folded):
            if tuple(folded[at : at + least]) not in self._grams[least]:
                at += 1
                continue
            end = at + least
            while end < len(folded) and tuple(folded[end - least + 1 : end + 1]) in self._grams[least]:
                end += 1
            spans.append((tokens[at].start, tokens[end - 1].end))
            at = end
        if to_them and tuple(folded) in self._short:
            spans.append((tokens[0].start, tokens[-1].end))
        return spans + [span for span in map(self._in_quotes, _QUOTED.finditer(text)) if span is not None]

    def _in_quotes(self, found: re.Match[str]) -> _SPAN | None:
        words = [token.folded for token in self._tokens(found[found.lastindex or 0])]
        if len(words) < 2 and not any(len(word) >= 4 for word in words):
            return None
        return found.span(found.lastindex or 0) if f" {' '.join(words)} " in self._spoken else None

    # --- the rest

    def _plainly(self, text: str) -> str:
        for sign in self._signs:
            text = text.replace(sign, self._label)
        return self._id.sub(self._label, text) if self._id is not None else text

    def _tokens(self, text: str) -> list[_Token]:
        folds = self._folds
        tokens = []
        for found in _TOKEN.finditer(text):
            word = found["word"]
            folded = folds.get(word)
            if folded is None:
                if len(folds) > 50_000:
                    folds.clear()
                folded = folds[word] = fold(word)
            tokens.append(_Token(found, folded))
        return tokens


def _contact(found: str) -> str:
    """An address or a number as it is compared: numbers by their figures, however they are spaced."""
    figures = re.sub(r"\D", "", found)
    return figures if len(figures) >= 9 and not set(found) & {"@", ":"} else found.casefold()


def _grams(words: list[str], n: int) -> Iterable[tuple[str, ...]]:
    return (tuple(words[at : at + n]) for at in range(len(words) - n + 1))


def _with(label: str, token: _Token) -> str:
    """The label with the ending that the word had behind an apostrophe, in its own harmony."""
    if not token.suffix or label == HANDLE_LABEL:
        return label
    return f"{label}'{reharmonise(label, lower_tr(token.suffix))}"


def _replaced(text: str, spans: Collection[tuple[int, int, str]]) -> str:
    """The text with the spans replaced; what overlaps, or has only blanks in between, becomes one."""
    merged: list[tuple[int, int, str]] = []
    for start, end, label in sorted(spans):
        before = merged[-1] if merged else (0, -1, "")
        joined = label[0] == before[2][:1] and not text[before[1] : start].strip()
        if start < before[1] or joined:
            merged[-1] = (before[0], max(end, before[1]), label if end > before[1] else before[2])
        else:
            merged.append((start, end, label))
    for start, end, label in reversed(merged):
        text = text[:start] + label + text[end:]
    return text


_LOOSE: Final = {
    "i": "iıİI", "s": "sşSŞ", "g": "gğGĞ", "c": "cçCÇ", "o": "oöOÖ", "u": "uüûUÜÛ", "a": "aâAÂ",
}  # fmt: skip


def _loosely(word: str) -> str:
    """A pattern for a folded word in any case, with or without Turkish letters, marks and invisible signs inside."""
    between = f"[{_INSIDE}]*"
    letters = []
    for letter in word:
        if letter == " ":
            letters.append(r"\s+")
        else:
            forms = _LOOSE.get(letter) or "".join(sorted({letter, letter.upper()}))
            letters.append(f"[{forms}]" if letter.isalnum() else f"\\{letter}")
    return between.join(letters)

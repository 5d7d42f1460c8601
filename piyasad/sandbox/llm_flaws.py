"""What small models do to a line: think aloud, sign it, decorate it, translate it, repeat their orders, break off.

Pure; `llm.py` flaws a share of its answers with it (the small-model mode). Like all of the sandbox it imports nothing
else of piyasad: who speaks is read from the request, as anybody at the other end of the wire would have to.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from piyasad.sandbox.llm_text import write

SMALL_MODEL = 0.3
"""The share of flawed answers when small-model mode is switched on without one."""

_INTRODUCED = re.compile(r"\ASen (.{1,64}?) \(@(\w{3,32})\)")
_CALLED = re.compile(r"Şimdi (.{1,64}?) olarak yaz:")
_SENTENCE = re.compile(r"(?<=[.!?…])\s+")
_LONG_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a request said: its system text and its last message."""

    system: str
    last: str

    @property
    def speaker(self) -> tuple[str, str]:
        """Name and handle of the persona that is to speak; "Asistan" and "" when the request names none."""
        introduced, called = _INTRODUCED.match(self.system), _CALLED.findall(self.last)
        name = called[-1] if called else introduced[1] if introduced else "Asistan"
        return name, introduced[2] if introduced else ""


# --- thinking aloud
_THOUGHTS = (
    "Kullanıcı {name} olarak yazmamı istiyor.",
    "Kısa olmalı, en çok iki cümle.",
    "Yatırım tavsiyesi vermemem gerek.",
    "Okay, the user wants one short message as {name}.",
    "Hmm, son mesaj bir soru değil, sohbeti sürdüreyim.",
    "The tone should be calm and dry; no links, no prices.",
    "Önce piyasaya bakayım: hacim düşük, beklenti yüksek.",
    "Let me write this in Turkish.",
    "Soruyla bitirmemeliyim.",
    "Emoji kullanmasam daha iyi olur.",
    "Wait, I must not promise any gain.",
    "Üye 1 ne demişti? Ona uygun bir karşılık bulayım.",
)
_THINKING = (
    "<think>\n{thought}\n</think>\n\n{text}",
    "<think>{thought}</think>{text}",
    "<thinking>\n{thought}\n</thinking>\n{text}",
    "<reasoning>{thought}</reasoning>\n\n{text}",
    "{thought}\n</think>\n\n{text}",  # the template had written the opening tag
    "<think>\n\n</think>\n\n{text}",  # told not to think
    "<think>{thought}</think>\n{text}\n</think>",
    "[THINK]{thought}[/THINK]{text}",
    "◁think▷{thought}◁/think▷{text}",
    "<|channel|>analysis<|message|>{thought}<|end|><|start|>assistant<|channel|>final<|message|>{text}<|return|>",
    "analysis{thought}assistantfinal{text}",  # the same with its control tokens lost
    "<think>{thought}</think>\n\n{text}<|im_end|>",
)


def _think(text: str, scene: Scene, rng: random.Random) -> str:
    thought = " ".join(rng.sample(_THOUGHTS, rng.randint(1, 3))).format(name=scene.speaker[0])
    return rng.choice(_THINKING).format(thought=thought, text=text)


# --- signing it
_LABELS = ("{n}: ", "{n}:\n", "{n}:\n\n", "**{n}:** ", "**{n}**: ", "🤖 {n}: ", "[{n}]: ", "{n} - ", "{n} — ")
_LABELS_LONG = ("{n} 🤖: ", "{n} olarak: ", "{n} diyor ki: ", "{n}\n\n", "**{n}**\n\n", "### {n}\n")


def _sign(text: str, scene: Scene, rng: random.Random) -> str:
    name, handle = scene.speaker
    shapes = [name, name, name.replace("i", "İ").upper()]
    if " " in name:
        shapes.append(name.partition(" ")[0])
    if handle:
        shapes += [f"@{handle}", f"{name} (@{handle})"]
    shape = rng.choice(shapes)
    if shape == name and rng.random() < 0.3:
        return rng.choice(_LABELS_LONG).format(n=name) + text
    # who signs with a first name or a handle puts a colon after it
    labels = _LABELS if shape in shapes[:3] else _LABELS[:-2]
    return rng.choice(labels).format(n=shape) + text


# --- decorating it
_TITLES = ("Piyasa Yorumu", "Günün Özeti", "Kısa Değerlendirme", "Görüşüm", "Piyasa Notu", "Genel Bakış", "Analiz")


def _bold_words(text: str, rng: random.Random, mark: str) -> str:
    words = text.split(" ")
    start = rng.randrange(len(words))
    end = min(len(words), start + rng.randint(1, 3))
    core = " ".join(words[start:end]).rstrip(".,;:!?…")
    tail = " ".join(words[start:end])[len(core) :]
    return " ".join([*words[:start], f"{mark}{core}{mark}{tail}", *words[end:]])


def _decorate(text: str, scene: Scene, rng: random.Random) -> str:
    title = rng.choice(_TITLES)
    match rng.randrange(9):
        case 0:
            return f"{'#' * rng.randint(1, 4)} {title}\n\n{text}"
        case 1:
            return f"**{title}**\n\n{text}"
        case 2:
            return f"**{title}:** {text}"
        case 3:
            return f"**{text}**"
        case 4:
            return f"> {text}"
        case 5:
            return f"```{rng.choice(('', 'text', 'markdown'))}\n{text}\n```"
        case 6:
            return f"---\n{text}\n---"
        case 7:
            return f"{'#' * rng.randint(1, 3)} {text}"
        case _:
            return _bold_words(text, rng, rng.choice(("**", "*", "_", "__", "`")))


_QUOTED = ('"{}"', "“{}”", "„{}“", "«{}»", "'{}'", "‘{}’", '“"{}"”', '"{}', '{}"', "“{}", '"{}"\n', "``{}``")


def _quote(text: str, scene: Scene, rng: random.Random) -> str:
    if text[-1] in ".!?" and rng.random() < 0.15:
        return f'"{text[:-1]}"{text[-1]}'  # the full stop outside
    return rng.choice(_QUOTED).format(text)


_BULLETS = ("- ", "* ", "• ", "– ", "✅ ", "👉 ", "🔹 ")
_LEAD_INS = ("", "", "Birkaç nokta:\n", "Şöyle özetleyeyim:\n\n", "Benim gördüğüm üç şey var:\n")


def _list(text: str, scene: Scene, rng: random.Random) -> str:
    items = _SENTENCE.split(text) + [write(scene.last, rng) for _ in range(rng.randint(1, 2))]
    if rng.random() < 0.5:
        items = [item.rstrip(".") for item in items]
    gap = rng.choice(("\n", "\n\n"))
    bullet = rng.choice((*_BULLETS, "{}. ", "{}) ", "**{}.** "))
    return rng.choice(_LEAD_INS) + gap.join(bullet.format(number) + item for number, item in enumerate(items, 1))


_TAGS = ("#Borsa", "#BIST", "#BIST100", "#Dolar", "#Altın", "#Ekonomi", "#Piyasa", "#FX", "#yatırım", "#USDTRY")


def _tag(text: str, scene: Scene, rng: random.Random) -> str:
    return text + rng.choice((" ", "\n", "\n\n")) + " ".join(rng.sample(_TAGS, rng.randint(1, 4)))


# --- translating it
_ENGLISH_WORDS = ("actually", "volume", "market", "however", "trend", "because", "momentum", "basically", "already")
_ENGLISH_LINES = (
    "I think the market is waiting for a clear signal.",
    "This is what we have seen in the last few weeks.",
    "The volume is not there and it should worry you.",
    "But that does not mean there is no risk in it.",
    "It was a quiet day for the index, as you can see.",
    "They will have to wait for the data, like the rest of us.",
)
_RUSSIAN_WORDS = ("рынок", "просто", "сейчас", "но", "это", "конечно", "объём", "кстати")
_RUSSIAN_LINES = ("Рынок пока спокоен.", "Я бы подождал.", "Это не точно, посмотрим.", "Сегодня всё тихо.")
_TWINS = str.maketrans("aeocpAEOCPTKMH", "аеосрАЕОСРТКМН")


def _mixed(text: str, rng: random.Random, words: tuple[str, ...], lines: tuple[str, ...]) -> str:
    if rng.random() < 0.5:
        return f"{text} {rng.choice(lines)}" if rng.random() < 0.7 else f"{rng.choice(lines)} {text}"
    said = text.split(" ")
    for word in rng.sample(words, rng.randint(1, 2)):
        said.insert(1 + rng.randrange(len(said)), word)
    return " ".join(said)


def _english(text: str, scene: Scene, rng: random.Random) -> str:
    return rng.choice(_ENGLISH_LINES) if rng.random() < 0.1 else _mixed(text, rng, _ENGLISH_WORDS, _ENGLISH_LINES)


def _cyrillic(text: str, scene: Scene, rng: random.Random) -> str:
    words = [index for index, word in enumerate(text.split(" ")) if word.translate(_TWINS) != word]
    if words and rng.random() < 0.2:  # one word in letters that only look the same
        said = text.split(" ")
        at = rng.choice(words)
        said[at] = said[at].translate(_TWINS)
        return " ".join(said)
    return _mixed(text, rng, _RUSSIAN_WORDS, _RUSSIAN_LINES)


# --- serving and warning
_OPENINGS = ("Tabii ki!", "Tabii ki, ", "Tabii!", "Elbette!", "Elbette,", "Memnuniyetle!", "Tabii ki! 😊", "Sure!", "")
_ANNOUNCED = (
    "İşte mesajım:",
    "İşte {name} için kısa bir yorum:",
    "İşte {name} olarak yanıtım:",
    "işte tek mesajlık bir yanıt:",
    "Buyurun, istediğiniz mesaj:",
    "Here is the message:",
    "Here's a short reply as {name}:",
)


def _serve(text: str, scene: Scene, rng: random.Random) -> str:
    opening = rng.choice(_OPENINGS)
    if not opening or rng.random() < 0.5:
        opening += " " + rng.choice(_ANNOUNCED).format(name=scene.speaker[0])
    line = f'"{text}"' if rng.random() < 0.2 else text
    return opening.strip() + rng.choice((" ", "\n", "\n\n")) + line


_WARNINGS = (
    "Yatırım tavsiyesi değildir.",
    "Bu bir yatırım tavsiyesi değildir.",
    "Bu yorumlar yatırım tavsiyesi niteliği taşımaz.",
    "Burada yazılanlar kesinlikle yatırım tavsiyesi değildir!",
    "Yazdıklarım yatırım tavsiyesi olarak değerlendirilmemelidir.",
    "Unutmayın, bu yatırım tavsiyesi değildir.",
    "Yatırım tavsiyesi içermez.",
    "YTD",
    "YTD.",
    "This is not financial advice.",
)
_WARNINGS_MORE = (
    "Kendi araştırmanızı yapın.",
    "Lütfen bir uzmana danışın.",
    "Yatırım kararlarınızı kendi araştırmanıza göre verin.",
)
_WARNED = ("{}", "{}", "({})", "*{}*", "**Not:** {}", "Not: {}", "⚠️ {}", "Uyarı: {}", "*Not: {}*", "---\n{}")


def _warn(text: str, scene: Scene, rng: random.Random) -> str:
    warning = rng.choice(_WARNINGS)
    if len(warning) > 5 and rng.random() < 0.25:
        warning += " " + rng.choice(_WARNINGS_MORE)
    return text + rng.choice((" ", "\n", "\n\n")) + rng.choice(_WARNED).format(warning)


# --- repeating its orders, breaking off
def _echo(text: str, scene: Scene, rng: random.Random) -> str:
    orders = [line for line in scene.last.splitlines() if line.strip()] or ["Kullanıcı mesajı:"]
    match rng.randrange(6):
        case 0:
            return orders[-1]
        case 1:
            return f"{orders[-1]}\n\n{text}"
        case 2:
            return "\n".join([*orders[-rng.randint(2, 3) :], text])
        case 3:
            return "\n".join(orders[: rng.randint(2, 4)])
        case 4 if scene.system:
            return f"{scene.system.splitlines()[0]} {text}"
        case 5 if scene.system:
            words = scene.system.split()
            start = rng.randrange(max(1, len(words) - 30))
            return " ".join(words[start : start + rng.randint(14, 30)])
        case _:
            said = [line for line in orders[:-1] if ": " in line][-1:] or orders[-1:]
            return f"{said[0]}\n{scene.speaker[0]}: {text}"


def _break(text: str, scene: Scene, rng: random.Random) -> str:
    words = list(_LONG_WORD.finditer(text))
    late = [word for word in words if word.start() > len(text) // 3] or words
    if not late:
        return text[: max(1, len(text) // 2)]
    word = rng.choice(late)
    return text[: rng.randint(word.start() + 2, word.end() - 1)]


_FLAWS: Mapping[str, Callable[[str, Scene, random.Random], str]] = MappingProxyType(
    {
        "think": _think,
        "name": _sign,
        "markdown": _decorate,
        "quotes": _quote,
        "english": _english,
        "cyrillic": _cyrillic,
        "list": _list,
        "hashtags": _tag,
        "opening": _serve,
        "disclaimer": _warn,
        "echo": _echo,
        "cut": _break,
    }
)
KINDS = tuple(_FLAWS)


@dataclass(frozen=True, slots=True)
class Flaws:
    """Which share of the answers is flawed, and in which of `KINDS` (each as likely). Raises ValueError for others."""

    share: float = SMALL_MODEL
    kinds: tuple[str, ...] = KINDS

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError("share: expected 0 to 1")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds: expected some of {', '.join(KINDS)}")

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Flaws:
        """From a JSON object {"share": …, "kinds": […]}; what it leaves out is the default. Raises ValueError."""
        share, kinds = values.get("share", SMALL_MODEL), values.get("kinds", list(KINDS))
        if set(values) - {"share", "kinds"} or isinstance(share, bool) or not isinstance(share, int | float):
            raise ValueError('expected {"share": 0 to 1, "kinds": […]}')
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            raise ValueError("kinds: expected a list of texts")
        return cls(float(share), tuple(kinds))

    def draw(self, rng: random.Random) -> str:
        """The kind of flaw that the next answer gets; "": none."""
        return rng.choice(self.kinds) if rng.random() < self.share else ""


def flaw(kind: str, text: str, scene: Scene, rng: random.Random) -> tuple[str, str]:
    """The flawed form of a text that is not empty, and its finish reason: "length" if it breaks off, else "stop"."""
    return _FLAWS[kind](text, scene, rng), "length" if kind == "cut" else "stop"

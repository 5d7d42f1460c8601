"""Topics: what a line is about, by the words of the chat's configured topics and of well-known ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from piyasad.language.text import fold, stem, words_of

DEFAULT_SYMBOLS: Final = (
    *("AEFES", "AKBNK", "ASELS", "ASTOR", "BIMAS", "EKGYO", "ENKAI", "EREGL", "FROTO", "GARAN", "GUBRF", "ISCTR"),
    *("KCHOL", "KOZAL", "KRDMD", "MGROS", "PETKM", "PGSUS", "SAHOL", "SASA", "SISE", "TAVHL", "TCELL", "THYAO"),
    *("TOASO", "TTKOM", "TUPRS", "ULKER", "VAKBN", "YKBNK", "BIST", "BIST30", "BIST100", "XU030", "XU100"),
    *("USD", "EUR", "GBP", "CHF", "JPY", "TRY", "USDTRY", "EURTRY", "GBPTRY", "EURUSD", "GBPUSD", "USDJPY", "USDCHF"),
    *("DXY", "XAU", "XAG", "XAUUSD", "XAGUSD", "XAUTRY", "XAGTRY"),
    *("BTC", "ETH", "BTCUSD", "ETHUSD", "BTCUSDT", "ETHUSDT", "BTCTRY", "ETHTRY"),
)
"""What may be named by default: BIST 30, indices, major currencies, gold, silver, two coins."""

_CURRENCIES: Final = ("usd", "eur", "gbp", "chf", "jpy", "try", "dxy")

# Group: words by which a configured topic is recognised as this group, then further words of a line about it.
_GROUPS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "bist": (
        ("bist", "borsa", "hisse", "endeks", "bist30", "bist100", "xu100", "hisseler"),
        ("temettu", "bilanco", "halka", "arz", "banka", "sanayi", "tavan", "taban", "lot", "seans", "ticker", "sirket"),
    ),
    "fx": (
        ("fx", "doviz", "kur", "parite", "forex", "dolar", "euro"),
        ("avro", "sterlin", "frank", "yen", "lira", "kurlar", "dolarizasyon", "tl"),
    ),
    "kripto": (
        ("kripto", "crypto", "coin", "bitcoin", "blokzincir"),
        ("ethereum", "altcoin", "cuzdan", "halving", "btcusdt", "stablecoin", "token", "ether", "madencilik"),
    ),
    "makro": (
        ("makro", "macro", "ekonomi", "enflasyon", "faiz", "iktisat"),
        (
            "tcmb",
            "fed",
            "ppk",
            "merkez",
            "tufe",
            "ufe",
            "buyume",
            "issizlik",
            "gsyh",
            "butce",
            "cari",
            "resesyon",
            "tahvil",
        ),
    ),
    "altin": (
        ("altin", "gumus", "emtia", "ons", "gram", "maden", "kiymetli"),
        ("ceyrek", "xau", "xag", "petrol", "brent", "kulce"),
    ),
}


def _group_of_symbol(symbol: str) -> str:
    if "btc" in symbol or "eth" in symbol or symbol.endswith("usdt"):
        return "kripto"
    if symbol.startswith(("xau", "xag")):
        return "altin"
    if any(symbol.startswith(code) and len(symbol) in {3, 6} for code in _CURRENCIES):
        return "fx"
    return "bist"


@dataclass(frozen=True, slots=True)
class TopicBook:
    """A chat's topics with the words that point to them. Build it once per chat with `of`."""

    names: tuple[str, ...]
    index: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, topics: Sequence[str]) -> TopicBook:
        """The book of a chat's configured topics, in their order."""
        index: dict[str, list[int]] = {}
        groups: dict[str, int] = {}

        def point(word: str, position: int) -> None:
            places = index.setdefault(stem(word), [])
            if position not in places:
                places.append(position)

        for position, name in enumerate(topics):
            own = words_of(fold(name))
            for word in own:
                point(word, position)
                for group, (aliases, _) in _GROUPS.items():
                    if word in aliases:
                        groups.setdefault(group, position)
        if "altin" not in groups and "fx" in groups:
            groups["altin"] = groups["fx"]  # gold is talked about with currencies where it has no topic of its own
        named = tuple(index)
        for group, position in groups.items():
            for word in (*_GROUPS[group][0], *_GROUPS[group][1]):
                if stem(word) not in named:  # a topic called by that very word keeps it for itself
                    point(word, position)
        for symbol in map(fold, DEFAULT_SYMBOLS):
            if _group_of_symbol(symbol) in groups and stem(symbol) not in named:
                point(symbol, groups[_group_of_symbol(symbol)])
        return cls(tuple(topics), {word: tuple(places) for word, places in index.items()})

    def about(self, stems: Sequence[str]) -> tuple[str, ...]:
        """The topics that stems of a line point to, the strongest first."""
        index = self.index
        counts: dict[int, int] = {}
        for word in stems:
            for position in index.get(word, ()):
                counts[position] = counts.get(position, 0) + 1
        if not counts:
            return ()
        order = sorted(counts, key=lambda position: (-counts[position], position))
        return tuple(self.names[position] for position in order)

    def interests(self, keys: Sequence[tuple[str, float]]) -> tuple[float, ...]:
        """The weight of `keys` (a persona's stems and weights) on each topic, in the order of `names`."""
        weights = [0.0] * len(self.names)
        for key, weight in keys:
            for position in self.index.get(key, ()):
                weights[position] += weight
        return tuple(weights)

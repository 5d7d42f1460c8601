"""The offline provider: lines from a grammar, for the demo and for rooms without any key.

It is a grammar and not a language model: it understands nothing, it matches words and fills in lines that people wrote
in advance (`lines/*.toml`). It needs no network, costs nothing and reports no tokens, because it uses none.
The gateway calls it like any other provider; it writes from `request.brief` and never reads the prompt's text.
"""

from __future__ import annotations

from piyasad.providers.interface import BadRequest, Completion, Request
from piyasad.providers.offline.grammar import Grammar


class OfflineProvider:
    """Writes one Turkish line of chat per request. The lines are loaded once, here."""

    def __init__(self, name: str = "offline", model: str = "grammar-tr") -> None:
        self.name = name
        self.model = model
        self._grammar = Grammar.load()

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        """Write a line; the same brief gives the same line.

        Args:
            timeout: not needed: a line takes a fraction of a millisecond.

        Raises:
            BadRequest: the request carries no brief.
        """
        if request.brief is None:
            raise BadRequest("the offline provider writes from a brief, and this request has none")
        return Completion(text=self._grammar.write(request.brief), provider=self.name, model=self.model)

    async def close(self) -> None:
        """Nothing is open."""

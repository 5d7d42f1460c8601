"""What is known of a key's limits beyond the configuration: what its provider said, and what is assumed meanwhile.

`quota.py` asks and tells; the gateway keeps it over restarts. Pure: times are Unix times, handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from piyasad.clock import DAY
from piyasad.gateway.quota.limits import Limits
from piyasad.providers.limit_facts import MOST_LIMIT, Fact

BELIEVED_SECONDS: Final = 7 * DAY  # a limit that was said counts for so long without being said again
TOLD_SECONDS: Final = DAY / 4  # what is said again and again is kept anew so often, lest it look old after a restart
DISBELIEF_SECONDS: Final = 3_600.0  # one under which nothing can be asked, for so long
GROWN: Final = 2  # a day without a refusal that used much of what is assumed: twice as much is tried
MUCH: Final = 0.5


@dataclass(slots=True)
class Said:
    """A limit in a provider's own words. `how`: headers, or a refusal."""

    limit: int
    how: str
    at: float


@dataclass(slots=True)
class Guess:
    """A figure in place of a daily limit that nobody tells. `most`: the largest share of it that was used since."""

    figure: int
    since: float
    most: float = 0.0


class Learned:
    """Of one key (or of several keys of one account), by the limits' configuration keys."""

    def __init__(self) -> None:
        self._said: dict[str, Said] = {}
        self._guesses: dict[str, Guess] = {}
        self._news = False
        self._told = 0.0

    def hear(self, fact: Fact, used: int, assumed: Collection[str], at: float) -> bool:
        """What a provider said of a limit. Whether it changes what is in force.

        Args:
            used: what counted against the limit before this call: where a limit nobody tells is met, it is no larger.
            assumed: the limits that are guesses.
        """
        limit = fact.limit
        if not limit and fact.refused and fact.name in assumed:
            limit = max(1, used)
        if not limit:
            return False
        before = self._said.get(fact.name)
        self._said[fact.name] = Said(limit, "a refusal" if fact.refused else "headers", at)
        changed = before is None or before.limit != limit
        self._news = self._news or changed or at - self._told >= TOLD_SECONDS
        return changed

    def in_force(self, configured: Limits, written: Collection[str], at: float) -> Limits:
        """The configured limits, with what was said or is guessed put in: what the operator wrote is never raised."""
        told: dict[str, int] = {}
        for name in configured.assumed:
            guess = self._guesses.setdefault(name, Guess(getattr(configured, name), at))
            told[name] = guess.figure
        for name, said in self._said.items():
            figure = getattr(configured, name)
            if name in configured.assumed or name not in written or figure is None or said.limit < figure:
                told[name] = said.limit
        return replace(configured, **told) if told else configured  # type: ignore[arg-type]

    def source(self, name: str, limit: int, configured: Limits, written: Collection[str]) -> tuple[str, float]:
        """Where a limit in force comes from, and when it was said (0: it was not)."""
        said, figure = self._said.get(name), getattr(configured, name)
        if said is not None and limit == said.limit and (limit != figure or name in configured.assumed):
            return said.how, said.at
        if name in configured.assumed:
            return configured.assumed[name], 0.0
        return ("file" if name in written else "preset"), 0.0

    def note(self, name: str, used: int, limit: int) -> None:
        """So much of a limit counts now."""
        guess = self._guesses.get(name)
        if guess is not None and limit:
            guess.most = max(guess.most, used / limit)

    def age(self, at: float) -> bool:
        """What was said long ago is tried again, guesses that held for a day grow. Whether anything changed."""
        changed = False
        for name, said in list(self._said.items()):
            if at - said.at >= BELIEVED_SECONDS:
                del self._said[name]
                if name in self._guesses:
                    self._guesses[name] = Guess(said.limit, at)
                changed = True
        for name, guess in self._guesses.items():
            if name not in self._said and at - guess.since >= DAY:
                grown = guess.figure * GROWN if guess.most >= MUCH else guess.figure
                changed = changed or grown != guess.figure
                self._guesses[name] = Guess(min(grown, MOST_LIMIT), at)
                self._news = True
        self._news = self._news or changed
        return changed

    def disbelieve(self, name: str, at: float) -> bool:
        """Forget what was said of a limit under which nothing could be asked any more, to hear of it anew."""
        said = self._said.get(name)
        if said is None or at - said.at < DISBELIEF_SECONDS:
            return False
        del self._said[name]
        return True

    def forget(self) -> bool:
        """Another model answers now: what was said of the one before does not hold for it."""
        had = bool(self._said)
        self._said.clear()
        return had

    def assume(self, name: str, figure: int, at: float) -> bool:
        """Begin with another guess, where nothing is known yet. Whether it does."""
        guess = self._guesses.get(name)
        if name in self._said or (guess is not None and guess.most):
            return False
        self._guesses[name] = Guess(figure, at)
        return True

    def take(self, at: float) -> bool:
        """Whether there is something new to keep since it was last asked."""
        news, self._news = self._news, False
        self._told = at if news else self._told
        return news

    def days(self) -> dict[str, int]:
        """What was said of daily limits."""
        return {name: said.limit for name, said in self._said.items() if name in {"rpd", "tpd"}}

    def known(self) -> dict[str, Any]:
        """Everything, as JSON keeps it."""
        return {
            "said": {name: [said.limit, said.how, said.at] for name, said in self._said.items()},
            "guesses": {name: [guess.figure, guess.since, guess.most] for name, guess in self._guesses.items()},
        }

    def recall(self, known: Mapping[str, Any], names: Collection[str]) -> None:
        """Take over what an earlier process knew; what cannot be meant is left out."""
        for name, row in _rows(known.get("said"), names):
            match row:
                case [int(limit), str(how), int() | float() as at] if 0 < limit <= MOST_LIMIT:
                    self._said[name] = Said(limit, how, float(at))
        for name, row in _rows(known.get("guesses"), names):
            match row:
                case [int(figure), int() | float() as since, int() | float() as most] if 0 < figure <= MOST_LIMIT:
                    self._guesses[name] = Guess(figure, float(since), float(most))


def _rows(value: Any, names: Collection[str]) -> list[tuple[str, Any]]:
    return [(name, row) for name, row in value.items() if name in names] if isinstance(value, Mapping) else []

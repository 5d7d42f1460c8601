"""The interface that all providers share, and the classes of their failures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from piyasad.model import Class, IntentKind, Length
from piyasad.providers.limit_facts import Fact


@dataclass(frozen=True, slots=True)
class Brief:
    """What is to be said, in structure: the offline provider writes from it; the others have it as prompt text.

    `stances` are (topic, text, side) of the speaking persona; `history` is (author, text), oldest first.
    """

    bot_id: int
    name: str
    persona: str  # the persona's name as configured: the key of its style
    tone: str
    risk_profile: str
    watchlist: tuple[str, ...]
    pet_phrases: tuple[str, ...]
    stances: tuple[tuple[str, str, str], ...]
    examples: tuple[str, ...]
    address: str  # "sen" or "siz"
    intent: IntentKind
    topic: str
    length: Length
    ask: bool
    target_author: str = ""
    target_text: str = ""
    target_is_person: bool = False
    mention: str = ""
    history: tuple[tuple[str, str], ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """One text to be written. `deadline` is a reading of the clock's `mono()`; an overdue request costs nothing."""

    bot_id: int
    klass: Class
    system: str  # byte-stable per persona
    user: str  # what changes
    max_tokens: int
    temperature: float
    deadline: float
    brief: Brief | None = None


class Spent(NamedTuple):
    """Tokens that a provider counted. `cached` (read from its cache) and `written` (to it) are part of `prompt`."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    written: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A text and what it cost. Token counts are the provider's own, 0 where it does not tell.

    The text is in the form of `language/border.py`; `calls` counts retries and fallbacks.
    """

    text: str
    provider: str
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    finish: str = "stop"
    calls: int = 1
    facts: tuple[Fact, ...] = ()  # what the answer said about limits
    written_tokens: int = 0
    requests: int = 1  # HTTP requests of this call: more than one when the model taught us what it refuses
    retry_after: float | None = None  # s; it answered and asks to wait all the same

    @property
    def spent(self) -> Spent:
        """Its token counts together."""
        return Spent(self.prompt_tokens, self.cached_tokens, self.completion_tokens, self.written_tokens)


class ProviderError(Exception):
    """A call that gave no text. The message is safe to show: no key, no URL with a secret.

    `usage` are the tokens when the provider said that it charged them all the same; `facts` what it said about its
    limits; `retry_after` the seconds that it asks to wait, whatever the failure; `requests` how many it took. Not
    `sure`: the class is a guess, for the refusal's words say nothing clear.
    """

    usage: Spent | None = None
    facts: tuple[Fact, ...] = ()
    retry_after: float | None = None
    requests: int = 1
    sure: bool = True


class Throttled(ProviderError):
    """A limit was met. `window` is "second", "minute", "hour", "day", "month" or ""."""

    def __init__(self, message: str, retry_after: float | None = None, window: str = "") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.window = window


class Transient(ProviderError):
    """Server error, cut connection, timeout, nonsense instead of an answer: try elsewhere."""


class NotSent(Transient):
    """The request surely never reached the provider: refused connection, no such host. It cost nothing."""


class ServerFault(Transient):
    """The provider itself says that it failed (5xx). Counted as a request, not as tokens."""


class TimedOut(Transient):
    """No answer within the call's time. The provider may have worked on it all the same."""


class Refused(ProviderError):
    """The provider refuses this content."""


class BadModel(ProviderError):
    """The model does not exist or may not be used with this key."""


class BadKey(ProviderError):
    """The key is wrong, revoked or out of credit."""


class BadRequest(ProviderError):
    """The provider rejects the request itself: a fault of ours."""


class Expired(ProviderError):
    """The deadline passed before a call was made: it cost nothing."""


class NoProvider(ProviderError):
    """Nobody is left to ask: every key is out until the next reload."""


class Provider(Protocol):
    """One LLM API. A call either gives a completion or raises a `ProviderError`; it never retries by itself."""

    name: str
    model: str

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        """Make one call within `timeout` seconds."""
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...

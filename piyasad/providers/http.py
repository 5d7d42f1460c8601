"""What every HTTP dialect shares: one call, learning what a model refuses, failing without a secret shown.

`openai.py`, `gemini.py` and `anthropic.py` build on `HttpProvider`. Knows no dialect. Answers are read bounded and
without trust (`answer.py`, `refusal.py`); texts are brought into form here and nowhere else (`language/border.py`).
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import aiohttp
import httpx

from piyasad.language import border
from piyasad.providers import refusal
from piyasad.providers.abilities import Abilities
from piyasad.providers.answer import Answer, json_object, rows_of
from piyasad.providers.client import MOST_ANSWERED, Client, TooMuch
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    Completion,
    NotSent,
    ProviderError,
    Refused,
    Request,
    ServerFault,
    Spent,
    Throttled,
    TimedOut,
    Transient,
)
from piyasad.providers.limit_facts import Fact, of_headers, of_refusal
from piyasad.providers.refusal import Kind, Told
from piyasad.providers.waits import now_of, wait_of, window_of

MOST_LISTED: Final = 1 << 23  # bytes of a list of models
MOST_REPEATS: Final = 5  # of one call, each because the model taught us something
CHARS_A_TOKEN: Final = 6  # no tokenizer puts more Turkish or English into a token on the average
LEAST_CHARS: Final = 240
SUCCESS_WAIT: Final = 60.0  # s; an answer that asks to wait is obeyed for so long at most

_THOUGHT: Final = re.compile(r"\s*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\]|◁think▷)", re.IGNORECASE)
_NO_THINKING: Final = re.compile(r"not support (?:thinking|reasoning)(?![ _]?(?:budget|level|effort|config))")
_THOUGHT_END: Final = re.compile(r"</(?:think|thinking|thought|reasoning)\s{0,4}>|\[/THINK\]|◁/think▷", re.IGNORECASE)


class RefusedParameter(BadRequest):
    """The model does not take this parameter, or this role ("system"), or something that it does not name ("")."""

    def __init__(self, message: str, parameter: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class HttpProvider(ABC):
    """One model of one API with one key. `client` is shared and not closed here.

    One call either gives a text or raises one of the failure classes of `interface.py`; it never waits and never tries
    again, but for what the model refuses: that is done without, the call repeated, and remembered in `abilities`.

    Args:
        abilities: what is known of the model; shared by its keys.
        wall: Unix time, for headers that tell a time of day where the response does not tell its own.
    """

    optional: tuple[str, ...] = ()  # parameters that may be dropped
    listing = ""  # the query by which GET /models gives all of them at once
    requests_a_day = False  # plain `x-ratelimit-*-requests` headers are about the day

    def __init__(
        self,
        name: str,
        base_url: str,
        key: str,
        model: str,
        client: Client,
        *,
        temperature: float | None = None,
        abilities: Abilities | None = None,
        wall: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self.abilities = abilities or Abilities()
        self._key = key
        self._client = client
        self._temperature = temperature
        self._wall = wall
        self._base = base_url.rstrip("/")
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "gzip, deflate"}

    @property
    def allowance(self) -> int:
        """Output tokens asked for beyond the request's, because the model thinks first."""
        return max(self.thinks, self.abilities.allowance)

    @property
    def thinks(self) -> int:
        """Output tokens that the model is known to spend on thinking."""
        return 0

    async def complete(self, request: Request, *, timeout: float) -> Completion:
        """Make one call within `timeout` seconds."""
        call = _Calling()
        try:
            async with asyncio.timeout(timeout):
                completion = await self._learning(request, call)
        except TimeoutError:
            error = TimedOut(f"{self.name}: no answer within {timeout:.1f} s")
            error.requests = max(1, call.made)
            raise error from None
        except ProviderError as error:
            error.requests = max(1, call.made)
            raise
        return replace(completion, requests=call.made) if call.made > 1 else completion

    async def models(self, *, timeout: float = 10.0) -> list[str]:
        """The models that this key may use, for `check --online`."""
        try:
            async with asyncio.timeout(timeout):
                url = httpx.URL(f"{self._base}/models{self.listing}")
                answer = await self._send("GET", url, None, most=MOST_LISTED)
        except TimeoutError:
            raise TimedOut(f"{self.name}: no answer within {timeout:.1f} s") from None
        if not 200 <= answer.status < 300:
            raise self.failure(answer, {})
        return sorted(self.names_in(json_object(answer.content)))

    async def close(self) -> None:  # noqa: B027 - nothing to override: the client is shared, so nothing is given back
        """Nothing to give back."""

    def names_in(self, listing: dict[str, Any]) -> list[str]:
        """The models named in the answer to GET /models."""
        return [str(row["id"]) for row in rows_of(listing.get("data")) if "id" in row]

    @abstractmethod
    def url(self) -> httpx.URL:
        """Where texts are asked for."""

    @abstractmethod
    def body(self, request: Request) -> dict[str, Any]:
        """The request in this dialect, without what the model refuses."""

    @abstractmethod
    def completion(self, request: Request, body: Mapping[str, Any], answer: Answer) -> Completion:
        """The text in a response that holds one, made with `completed`; or raise what it holds instead."""

    def parameters(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Where in a request the parameters stand that may be dropped."""
        return body

    def think_more(self, said: str, sent: object) -> bool:
        """The model refuses to think so little: ask for a little more, or leave it to the model.

        Args:
            said: the refusal's words, in lower case.
            sent: what it refuses.

        Returns:
            Whether anything is left to try.
        """
        return False

    def temperature(self, request: Request) -> float:
        """What the configuration says, else what the request asks for."""
        return request.temperature if self._temperature is None else self._temperature

    def texts(self, request: Request) -> tuple[str, str]:
        """System and user text; for a model without a system role all of it is the user's."""
        if self.abilities.merged:
            return "", f"{request.system}\n\n{request.user}" if request.system else request.user
        return request.system, request.user

    # --- what came back
    def completed(
        self,
        request: Request,
        answer: Answer,
        text: str,
        *,
        finish: str,
        spent: Spent | None,
        thought: bool = False,
        why: str = "",
    ) -> Completion:
        """The completion, its text brought into form; or raise what it is instead.

        Args:
            finish: as `answer.finish_of` gives it.
            spent: None: the provider did not say.
            thought: it thought, whether or not a text came.
            why: in whose words a text was refused.
        """
        allowed = self.allowance
        # what is thought aloud before an answer that is too long is no part of it: border.py skips it
        text, cut = border.completed(text, max(LEAST_CHARS, CHARS_A_TOKEN * request.max_tokens))
        failure: ProviderError | None = None
        if finish == "refused":
            failure = Refused(f"{self.name}: {self.model} refuses this content{f' ({why})' if why else ''}")
        elif not text or (finish == "length" and _THOUGHT.match(text) and not _THOUGHT_END.search(text)):
            if finish == "length" or thought:
                more = self.abilities.thought(allowed)
                failure = Transient(
                    f"{self.name}: {self.model} spent its whole output on thinking"
                    + ("" if more else "; set model to one that thinks less")
                )
            else:
                failure = Transient(f"{self.name}: {self.model} gave an empty text")
        if failure is not None:
            failure.usage = spent
            failure.facts = self.facts(answer)
            failure.retry_after = wait_of(answer.headers, "", self._now())
            raise failure
        prompt, cached, completion, written = spent or Spent()
        wait = wait_of(answer.headers, "", self._now())
        return Completion(
            text,
            self.name,
            self.model,
            prompt,
            cached,
            completion,
            finish="stop" if finish == "stop" and not cut else "length",
            facts=self.facts(answer),
            written_tokens=written,
            retry_after=None if wait is None else min(wait, SUCCESS_WAIT),
        )

    def failure(self, answer: Answer, body: Mapping[str, Any]) -> ProviderError:
        """The class of a response that is no answer."""
        now = now_of(answer.headers, self._now())
        return self.failed(answer, refusal.read(answer.status, answer.content, now), body)

    def mistaken(self, answer: Answer, error: Any, body: Mapping[str, Any]) -> ProviderError:
        """The class of a 200 that holds no text but an `error`, or words in its place, or nonsense."""
        now = now_of(answer.headers, self._now())
        told = refusal.read(answer.status, {"error": error} if error else answer.content, now)
        if error or told.spoken:
            return self.failed(answer, told, body)
        return Transient(f"{self.name}: something else than an answer came back ({answer.kind})")

    def failed(self, answer: Answer, told: Told, body: Mapping[str, Any]) -> ProviderError:
        """The class of what was told instead of a text, with all that it says about limits and waits."""
        sent = [name for name in self.optional if name in self.parameters(body)]
        sent += ["system"] if body and not self.abilities.merged else []
        found = refusal.verdict(told, sent, self.model)
        waits = (wait_of(answer.headers, told.words, self._now()), told.wait)
        wait = max((each for each in waits if each is not None), default=None)
        window = window_of(" ".join((told.words, *told.codes)))
        error = self._error(answer, told, found, wait, window)
        error.retry_after = error.retry_after if isinstance(error, Throttled) else wait
        error.sure = found.sure
        error.facts = self.facts(answer, told) + self.said(told)
        if found.kind in {Kind.LIMIT, Kind.LARGE, Kind.REQUEST}:
            error.facts += of_refusal(told.words, wait if found.kind is Kind.LIMIT else None)
        if found.kind is Kind.LIMIT and window == "day" and not {"rpd", "tpd"} & {fact.name for fact in error.facts}:
            error.facts += (Fact("tpd" if "token" in told.words else "rpd", refused=True),)
        return error

    def _error(
        self, answer: Answer, told: Told, found: refusal.Verdict, wait: float | None, window: str
    ) -> ProviderError:
        status = told.status or answer.status
        shown = f"{self.name}: {status} {refusal.shown(told.message, self._key) or answer.kind}"
        unclear = not found.sure or (found.kind is Kind.REQUEST and not found.lesson)
        if wait and unclear:  # who says when to come back has not shut the door
            return Transient(shown)
        match found.kind:
            case Kind.KEY:
                # what is said of a wrong key often quotes it, in more or less of its letters
                quoting = "key" in told.words and status in {400, 401}
                return BadKey(f"{self.name}: {status} the key is refused" if quoting else shown)
            case Kind.BILL:
                return BadKey(f"{self.name}: {status} the account is out of credit or over its budget")
            case Kind.MODEL if status == 429:
                return BadModel(f"{self.name}: this key has no quota for {self.model}")
            case Kind.MODEL:
                return BadModel(shown if told.message else f"{shown}; is base_url right?")
            case Kind.CONTENT:
                return Refused(shown)
            case Kind.LIMIT:
                return Throttled(shown, self.limit_wait(wait, window), window)
            case Kind.FAULT:
                return ServerFault(shown)
            case Kind.PASSING:
                return Transient(shown)
            case Kind.REQUEST if found.lesson or status in {400, 415, 422}:
                return RefusedParameter(shown, found.lesson)
            case _:
                return BadRequest(shown)

    def limit_wait(self, wait: float | None, window: str) -> float | None:
        """The wait that a refusal means when it says `wait` of a limit over `window`."""
        return wait

    def said(self, told: Told) -> tuple[Fact, ...]:
        """What a refusal's own fields say about limits."""
        return ()

    def facts(self, answer: Answer, told: Told | None = None) -> tuple[Fact, ...]:
        """What a response's headers, and those that stand in a refusal, say about limits."""
        now = now_of(answer.headers, self._now())
        found = of_headers(answer.headers.raw, requests_a_day=self.requests_a_day, now=now)
        if told is not None and told.headers:
            inner = [
                (name.encode("utf-8", "ignore"), value.encode("utf-8", "ignore"))
                for name, value in told.headers.items()
            ]
            found += of_headers(inner, requests_a_day=self.requests_a_day, now=now)
        return found

    # --- one call
    async def _learning(self, request: Request, call: _Calling) -> Completion:
        """One call, repeated while the model teaches us what it does not take."""
        abilities = self.abilities
        while True:
            known, body = abilities.generation, self.body(request)
            call.made += 1
            try:
                completion = await self._call(request, body)
            except RefusedParameter as refused:
                # what was learned meanwhile, by another call, is tried before anything is learned from this refusal
                again = call.made <= MOST_REPEATS and (known != abilities.generation or self._learn(refused, body))
                if not again:
                    abilities.give_up()
                    raise
            else:
                abilities.answered()
                return completion

    def _learn(self, refused: RefusedParameter, body: Mapping[str, Any]) -> bool:
        """Whether the call is worth repeating: it will be made otherwise than this one was."""
        name = refused.parameter
        if not name:
            return self.abilities.guess([name for name in self.optional if name not in _LIMITS])
        if name == "system":
            return self.abilities.merge()
        said, sent = str(refused).lower(), self.parameters(body).get(name)
        if name in _LEVELS and not _NO_THINKING.search(said) and self.think_more(said, sent):
            return True
        return self.abilities.drop(name)

    async def _call(self, request: Request, body: dict[str, Any]) -> Completion:
        # what cannot be written is left out: no text of ours may end a call before it is made
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "ignore")
        answer = await self._send("POST", self.url(), content)
        if 200 <= answer.status < 300:
            return self.completion(request, body, answer)
        raise self.failure(answer, body)

    async def _send(self, method: str, url: httpx.URL, content: bytes | None, *, most: int = MOST_ANSWERED) -> Answer:
        """One request. Raises `NotSent` when it surely did not leave, `Transient` when nobody knows."""
        try:
            return await self._client.ask(method, url, content, self._headers, most=most)
        except httpx.TransportError as error:
            # httpx-aiohttp calls a connection cut after the request "ConnectTimeout": only the cause tells them apart.
            cause = error.__cause__
            if isinstance(cause, aiohttp.ClientConnectorError) or type(error) is httpx.UnsupportedProtocol:
                raise NotSent(f"{self.name}: cannot connect ({type(cause).__name__})") from None
            raise Transient(f"{self.name}: connection lost ({type(cause or error).__name__})") from None
        except UnicodeEncodeError:
            raise BadKey(f"{self.name}: the key holds a character that no key has") from None
        except TooMuch as error:
            raise Transient(f"{self.name}: an answer that no text needs ({error})") from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError, ValueError) as error:
            raise Transient(f"{self.name}: broken answer ({type(error).__name__})") from None

    def _now(self) -> float | None:
        return None if self._wall is None else self._wall()


class _Calling:
    """How many requests one call took so far."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made = 0


_LEVELS: Final = frozenset({"reasoning_effort", "thinkingConfig"})  # parameters that say how much it may think
_LIMITS: Final = frozenset({"max_tokens", "max_completion_tokens"})  # without one an answer may be as long as it likes

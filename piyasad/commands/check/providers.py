"""`check --online`: asks each LLM provider of the route what models it has, and for one tiny text.

`check.py` calls it. The providers are built as the daemon builds them (`providers/endpoint.py`) and asked all at once,
with every key they have and each within its time. A finding says where a key comes from and never holds one.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from piyasad.clock import Clock
from piyasad.commands.check.finding import Finding, Level
from piyasad.commands.check.models import is_listed, nearest
from piyasad.config.secrets import Missing, provider_keys
from piyasad.config.settings import Settings
from piyasad.gateway.endpoint import Endpoint, HttpProviders, fingerprint, open_endpoints
from piyasad.model import Class
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import (
    BadKey,
    BadModel,
    BadRequest,
    Completion,
    NotSent,
    ProviderError,
    Refused,
    Request,
    Throttled,
)

LIST_SECONDS: Final = 15.0
TEXT_SECONDS: Final = 60.0  # at most; gateway.timeout_seconds if that is less, for the daemon waits no longer either
TINY_TOKENS: Final = 256  # a model that thinks although nobody asked for it takes some; the others write one word
_MOST_NAMED: Final = 5
_LONGEST_NAME: Final = 128


@dataclass(frozen=True, slots=True)
class _Asked:
    """One key of a provider and what it answered. `seconds` is the text's time."""

    endpoint: Endpoint
    where: str
    place: str
    model: str
    listing: list[str] | ProviderError
    text: Completion | ProviderError
    seconds: float

    @property
    def section(self) -> str:
        return f"[providers.{self.endpoint.name}]"

    @property
    def names(self) -> list[str]:
        """The models that it lists; none when it would not."""
        return self.listing if isinstance(self.listing, list) else []

    @property
    def fallback(self) -> str | None:
        """The fallback model, if it is another one."""
        return self.endpoint.fallback_model if self.endpoint.fallback_model != self.model else None

    @property
    def falls_back(self) -> bool:
        """Whether the daemon goes on with the fallback model because the model itself is not to be had."""
        return isinstance(self.text, BadModel) and self.fallback is not None and is_listed(self.fallback, self.names)

    @property
    def works(self) -> bool:
        """Whether the daemon gets texts from it, now or when its quota renews."""
        return isinstance(self.text, Completion | Throttled | Refused) or self.falls_back


async def ask(settings: Settings, env: Mapping[str, str], clock: Clock, names: Sequence[str]) -> list[Finding]:
    """What the named providers answer, each finding with its cure.

    What fails is a warning while some provider of the route works, else an error.

    Args:
        names: providers of the route that have all they need.
    """
    gateway = settings.gateway.model_copy(update={"route": tuple(dict.fromkeys(names))})
    providers = HttpProviders(clock.wall)
    try:
        endpoints = (
            open_endpoints(settings.model_copy(update={"gateway": gateway}), env, clock, providers) if names else []
        )
        seconds = min(TEXT_SECONDS, settings.gateway.timeout_seconds)
        broken = _unsendable(settings, env, names)
        asked = await asyncio.gather(
            *(
                _ask(endpoint, endpoint.provider, where, place, seconds, clock, sendable=endpoint.label not in broken)
                for endpoint, where, place in _places(settings, env, endpoints)
                if isinstance(endpoint.provider, HttpProvider)
            )
        )
    finally:
        await providers.close()
    offline = any(not isinstance(endpoint.provider, HttpProvider) for endpoint in endpoints)
    works = offline or any(each.works for each in asked)
    found = dict.fromkeys(finding for each in asked for finding in _findings(each))
    return [replace(each, level=Level.WARNING) if works and each.level is Level.ERROR else each for each in found]


async def _ask(
    endpoint: Endpoint, provider: HttpProvider, where: str, place: str, seconds: float, clock: Clock, *, sendable: bool
) -> _Asked:
    model = provider.model
    if not sendable:
        error = BadKey(f"{endpoint.name}: the key holds letters that no key has")
        return _Asked(endpoint, where, place, model, error, error, 0.0)
    began = ended = clock.mono()

    async def text() -> Completion | ProviderError:
        nonlocal ended
        try:
            return await provider.complete(_tiny(), timeout=seconds)
        except ProviderError as error:
            return error
        finally:
            ended = clock.mono()

    async def models() -> list[str] | ProviderError:
        try:
            listed = await provider.models(timeout=min(LIST_SECONDS, seconds))
        except ProviderError as error:
            return error
        return [name for name in listed if len(name) <= _LONGEST_NAME and name.isprintable()]

    listing, answer = await asyncio.gather(models(), text())
    return _Asked(endpoint, where, place, model, listing, answer, ended - began)


def _unsendable(settings: Settings, env: Mapping[str, str], names: Sequence[str]) -> set[str]:
    """Fingerprints of keys that no header can carry."""
    found = (provider_keys(settings, name, env) for name in names)
    keys = [key.reveal() for keys in found if not isinstance(keys, Missing) for key in keys]
    return {fingerprint(key) for key in keys if not key.isascii()}


def _said(asked: _Asked, error: ProviderError) -> str:
    """A provider's words in one line, without its name and without signs that a terminal would act upon."""
    words = str(error).removeprefix(f"{asked.endpoint.name}: ")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())


def _tiny() -> Request:
    """A request for one word. Nothing queues here, so it has no deadline of its own."""
    return Request(
        bot_id=0,
        klass=Class.HOUSEKEEPING,
        system="You answer with one word.",
        user="Say: OK",
        max_tokens=TINY_TOKENS,
        temperature=1.0,  # the one value that every model takes
        deadline=math.inf,
    )


def _places(
    settings: Settings, env: Mapping[str, str], endpoints: Sequence[Endpoint]
) -> Iterator[tuple[Endpoint, str, str]]:
    """Each endpoint with how it is called in a finding and where its key comes from ("" without one)."""
    endpoints = [endpoint for endpoint in endpoints if not endpoint.standby]
    for endpoint in endpoints:
        place = _place(settings, env, endpoint)
        where = f"provider {endpoint.name}"
        ours = [other for other in endpoints if other.name == endpoint.name]
        labels = list(dict.fromkeys(other.label for other in ours))
        if len(labels) > 1:
            where += f", key {labels.index(endpoint.label) + 1} of {len(labels)}"
        if len(ours) > len(labels):
            where += f", model {endpoint.provider.model}"
        yield endpoint, f"{where} ({place})" if place else where, place


def _place(settings: Settings, env: Mapping[str, str], endpoint: Endpoint) -> str:
    provider = settings.provider(endpoint.name)
    if provider is None or not endpoint.label:
        return ""
    for variable in provider.api_key_env:
        if any(fingerprint(line.strip()) == endpoint.label for line in env.get(variable, "").splitlines()):
            return f"${variable}"
    files = [str(file) for file in provider.api_key_file if os.path.exists(file)]
    return " or ".join(files) or f"file {endpoint.name} in [secrets] dir or $CREDENTIALS_DIRECTORY"


# --- What an answer means
def _findings(asked: _Asked) -> Iterator[Finding]:
    answer = asked.text
    if isinstance(answer, Completion):
        yield Finding(Level.NOTE, asked.where, f"{_answered(asked, answer)}; {_listed(asked)}")
    elif isinstance(answer, BadModel):
        yield _no_model(asked, answer)
    else:
        level, what, cure = _failed(asked, answer)
        yield Finding(level, asked.where, what if not asked.names else f"{what}; {_listed(asked)}", cure)
    fallback = asked.fallback
    if fallback is not None and asked.names and not is_listed(fallback, asked.names):
        cure = f"set {asked.section} fallback_model to one that it lists, or take it out"
        what = f"fallback_model {fallback}: not found{_mean(fallback, asked.names)}"
        yield Finding(Level.WARNING, f"provider {asked.endpoint.name}", what, cure)


def _answered(asked: _Asked, answer: Completion) -> str:
    read, wrote = answer.prompt_tokens, answer.completion_tokens
    tokens = f"{read} tokens read, {wrote} written" if read or wrote else "tokens not told"
    return f"{asked.model} answered in {asked.seconds:.1f} s ({tokens})"


def _listed(asked: _Asked) -> str:
    """How many models there are, and whether those of the configuration are among them."""
    if isinstance(asked.listing, ProviderError):
        return f"its models cannot be listed ({_said(asked, asked.listing)})"
    wanted = [(asked.model, "model")] + ([(asked.fallback, "fallback_model")] if asked.fallback else [])
    known = [f"{key} {name}" for name, key in wanted if is_listed(name, asked.names)]
    words = f"{len(asked.names)} {'model' if len(asked.names) == 1 else 'models'} listed"
    if known:
        words += f", {' and '.join(known)} among them"
    if isinstance(asked.text, Completion) and not is_listed(asked.model, asked.names):
        words += f", {asked.model} not by this name, which is fine as it answers"
    return words


def _no_model(asked: _Asked, error: BadModel) -> Finding:
    """The model is not there, or not for this key."""
    cure = f"set {asked.section} model to one that the key may use"
    if is_listed(asked.model, asked.names):
        what = f"model {asked.model} is listed, but this key may not use it ({_said(asked, error)})"
    elif asked.names:
        what = f"model {asked.model}: not found{_mean(asked.model, asked.names)} ({_said(asked, error)})"
    else:
        what = f"model {asked.model}: not found ({_said(asked, error)})"
        cure += f", or correct its base_url ({_host(asked)})"
    if asked.falls_back:
        what += f"; the daemon goes on with fallback_model {asked.fallback}"
    return Finding(Level.ERROR, asked.where, what, cure)


def _mean(model: str, names: Collection[str]) -> str:
    """The nearest names, or some of those that there are."""
    near = nearest(model, names)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; among the {len(names)} listed are {', '.join(sorted(names)[:_MOST_NAMED])}"


def _failed(asked: _Asked, error: ProviderError) -> tuple[Level, str, str]:
    """How bad another failure is, what it means, and its cure."""
    section = asked.section
    elsewhere = "put another provider behind it in gateway.route"
    match error:
        case Throttled():
            when = "a day's quota renews by tomorrow" if error.window == "day" else "wait a little"
            if error.retry_after:
                when = f"wait {_span(error.retry_after)}"
            return (
                Level.WARNING,
                f"the key works, but its quota is used up: {_said(asked, error)}",
                f"{when}, or {elsewhere}",
            )
        case BadKey():
            return Level.ERROR, _said(asked, error), f"put a valid key with credit into {asked.place or section}"
        case Refused():
            return (
                Level.WARNING,
                f"the key works, but {_said(asked, error)}",
                "watch for refusals, or choose another model",
            )
        case NotSent():
            cure = f"start the server, or correct {section} base_url ({_host(asked)})"
            return Level.ERROR, f"the server cannot be reached: {_said(asked, error)}", cure
        case BadRequest():
            return Level.ERROR, _said(asked, error), f"check model, temperature and base_url in {section}"
        case _ if error.usage is not None:  # it answered, and was paid, without a text
            return Level.ERROR, _said(asked, error), f"set {section} model to one that thinks less"
        case _:
            return Level.ERROR, _said(asked, error), f"try again; if it stays so, {elsewhere}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _host(asked: _Asked) -> str:
    """The server's host and port: an address may hold a secret in its other parts."""
    provider = asked.endpoint.provider
    if not isinstance(provider, HttpProvider):
        return ""
    parts = urlsplit(str(provider.url()))
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

"""An endpoint: one provider with one key, its quota and breaker; and how the configuration becomes endpoints.

The gateway walks the endpoints in the order of the route. Nothing here calls a provider.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from piyasad.clock import Clock
from piyasad.config.presets import day_limit
from piyasad.config.problems import ConfigError, Problem
from piyasad.config.providers import Price, ProviderSettings
from piyasad.config.secrets import Missing, Secret, provider_keys
from piyasad.config.settings import Settings
from piyasad.gateway.breaker import Breaker
from piyasad.gateway.estimate import Estimator
from piyasad.gateway.quota.budget import MICROS
from piyasad.gateway.quota.limits import Limits
from piyasad.gateway.quota.meter import Meter
from piyasad.gateway.quota.quota import Quota
from piyasad.providers.abilities import Abilities
from piyasad.providers.anthropic import AnthropicProvider
from piyasad.providers.client import make_client
from piyasad.providers.gemini import GeminiProvider
from piyasad.providers.http import HttpProvider
from piyasad.providers.interface import Provider, Spent
from piyasad.providers.openai import OpenAIProvider

log = structlog.stdlib.get_logger(__name__)

_KINDS: Final[Mapping[str, type[HttpProvider]]] = {
    "openai": OpenAIProvider,
    "gemini": GeminiProvider,
    "anthropic": AnthropicProvider,
}
Known = tuple[str, str, str]
"""Which endpoint: provider, key's fingerprint, model."""

STANDBY: Final = "stands by for the model before it"
LEAST_CACHED: Final = 1_024  # tokens; no provider that charges for it writes a shorter prompt to its cache
NO_PRICE: Final = Price()
NO_LIMITS: Final = Limits()


@dataclass(slots=True, eq=False)
class Endpoint:
    """One way to a text. `out` says why it is shut until the next reload; "" when it is not."""

    name: str
    label: str  # which key: a fingerprint, "" without one
    place: str  # where the key comes from, for the cure
    provider: Provider
    quota: Quota | None  # None: nothing to count (offline, a server of one's own)
    breaker: Breaker
    estimator: Estimator
    price: Price = NO_PRICE
    fallback_model: str | None = None
    limits: Limits = NO_LIMITS
    written: frozenset[str] = frozenset()  # the limits that stand in the operator's file
    per_model: bool = False  # the provider counts this model by itself
    standby: bool = False  # for when the other model of this key is refused
    out: str = ""
    failing: bool = False  # its last call failed in passing: told when it begins and when it ends
    throttled: int = 0  # in a row, as the two below
    doubts: int = 0  # refusals that might mean the key or the model, or only the text
    rejected: int = 0  # requests that it calls bad

    @property
    def abilities(self) -> Abilities | None:
        """What is known of the model; None of one that teaches nothing."""
        return self.provider.abilities if isinstance(self.provider, HttpProvider) else None

    @property
    def allowance(self) -> int:
        """Output tokens that the model takes beyond what a text needs."""
        return int(getattr(self.provider, "allowance", 0))

    def cost(self, spent: Spent) -> float:
        """US dollars for so many tokens."""
        price = self.price
        read = price.input if price.cached is None else price.cached
        write = price.input if price.cache_write is None else price.cache_write
        fresh = spent.prompt - spent.cached - spent.written
        paid = fresh * price.input + spent.cached * read + spent.written * write + spent.completion * price.output
        return paid / 1_000_000

    @property
    def is_free(self) -> bool:
        """Whether a text costs no money."""
        return not (self.price.input or self.price.output)

    def micros(self, spent: Spent) -> int:
        """The cost in millionths of a dollar, rounded up."""
        return 0 if self.is_free else math.ceil(self.cost(spent) * MICROS)

    def most_micros(self, prompt: int, completion: int) -> int:
        """What such a call may cost at most: nothing of its prompt is in the cache, all of it is written there."""
        dear = prompt >= LEAST_CACHED and (self.price.cache_write or 0) > self.price.input
        return self.micros(Spent(prompt, 0, completion, prompt if dear else 0))


class ProviderSource(Protocol):
    """Where providers come from: `HttpProviders` for the daemon, the simulation's models for a virtual day."""

    def open(self, name: str, settings: ProviderSettings, key: str) -> Provider:
        """The provider `name` with one key.

        Raises:
            ValueError: the settings lack something; the text says what to set.
        """
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...


class HttpProviders:
    """Providers over HTTP, all on one client. What a model taught is shared by its keys, and outlives a reload.

    Args:
        wall: Unix time.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._client = make_client()
        self._wall = wall
        self._abilities: dict[tuple[str, str, str], Abilities] = {}

    def open(self, name: str, settings: ProviderSettings, key: str) -> Provider:
        """See `ProviderSource.open`."""
        kind = _KINDS.get(settings.kind or "")
        if kind is None or not settings.model or not settings.base_url:
            missing = "kind" if kind is None else "base_url" if settings.model else "model"
            raise ValueError(f"set [providers.{name}] {missing}")
        made = kind(
            name,
            settings.base_url,
            key,
            settings.model,
            self._client,
            temperature=settings.temperature,
            abilities=self._abilities.setdefault((name, settings.base_url, settings.model), Abilities()),
            wall=self._wall,
        )
        made.requests_a_day = settings.preset == "groq" or ".groq.com/" in settings.base_url
        return made

    async def close(self) -> None:
        """Close the client; calls made later fail."""
        await self._client.aclose()


def open_endpoints(
    settings: Settings,
    env: Mapping[str, str],
    clock: Clock,
    providers: ProviderSource,
    *,
    share: float = 1.0,
    known: Mapping[Known, Endpoint] | None = None,
    money: Sequence[tuple[str, Meter]] = (),
) -> list[Endpoint]:
    """The endpoints of the route, in order. A provider without a usable key is left out with a warning.

    `known` are the endpoints before a reload: their quotas, breakers and what they learned go on. Nothing of them is
    changed here, so a failure leaves them as they were; the caller gives the quotas their new limits. `money` are the
    budgets' meters, which all quotas share.

    Raises:
        ConfigError: no provider of the route can be used.
    """
    endpoints: list[Endpoint] = []
    reasons: list[str] = []
    for name in settings.gateway.route:
        provider = settings.provider(name)
        keys = provider_keys(settings, name, env)
        if provider is not None and settings.gateway.local_only and not provider.is_here:
            keys = Missing(f"{provider.host or 'it'} is beyond this machine, which gateway.local_only refuses")
        if provider is None or isinstance(keys, Missing):
            reason = keys.reason if isinstance(keys, Missing) else "not configured"
            reasons.append(f"{name}: {reason}")
            log.warning("gateway.provider_left_out", provider=name, reason=reason)
            continue
        try:
            endpoints += _of_provider(name, provider, keys, clock, providers, share, settings, known or {}, money)
        except ValueError as error:
            reasons.append(f"{name}: {error}")
            log.warning("gateway.provider_left_out", provider=name, reason=str(error))
    if not endpoints:
        text = f'no provider can be used ({"; ".join(reasons)}); give one a key, or add "offline" to the route'
        raise ConfigError([Problem("", None, "gateway.route", text)])
    return endpoints


def limits_of(provider: ProviderSettings, written: Collection[str] = ()) -> Limits:
    """The limits a provider's settings name; of a day also what is assumed where nobody tells.

    Args:
        written: the keys that stand in the operator's file.
    """
    days = {key: day_limit(provider, key, written=key in written) for key in ("rpd", "tpd")}
    return Limits(
        rps=provider.rps,
        rpm=provider.rpm,
        rph=provider.rph,
        rpd=days["rpd"].amount,
        tpm=provider.tpm,
        tph=provider.tph,
        tpd=days["tpd"].amount,
        itpm=provider.itpm,
        otpm=provider.otpm,
        tokens_per_month=provider.tokens_per_month,
        concurrency=provider.max_concurrency,
        counts_cached=provider.counts_cached is not False,
        reset=provider.quota_reset or "rolling",
        assumed={key: limit.source for key, limit in days.items() if limit.assumed},
    )


def fingerprint(key: str) -> str:
    """Which key, without the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:8] if key else ""


def _of_provider(
    name: str,
    settings: ProviderSettings,
    keys: list[Secret],
    clock: Clock,
    providers: ProviderSource,
    share: float,
    root: Settings,
    known: Mapping[Known, Endpoint],
    money: Sequence[tuple[str, Meter]],
) -> list[Endpoint]:
    if settings.kind == "offline":
        from piyasad.providers.offline.provider import OfflineProvider

        return [Endpoint(name, "", "", OfflineProvider(name), None, Breaker(), Estimator())]
    places = [*(f"${variable}" for variable in settings.api_key_env), *(str(file) for file in settings.api_key_file)]
    place = " or ".join(places) or f"[secrets] dir, file {name}"
    paced = root.gateway.pace_daily_quota
    in_file = root.providers.get(name)
    written = frozenset(in_file.model_fields_set if in_file is not None else ())
    limits = limits_of(settings, written)
    per_model = settings.quota_per_model is True
    fallback = settings.fallback_model
    spare = [fallback] if fallback is not None and fallback not in settings.asked else []
    labels = {fingerprint(key): key for key in ([secret.reveal() for secret in keys] or [""])}
    quotas: dict[tuple[str, str], Quota] = {}
    found = []
    for model in (*settings.asked, *spare):  # the best model over all keys first
        for label, key in labels.items():
            before = known.get((name, label, model))
            of = (label if settings.separate_quota else "", model if per_model else "")
            if of not in quotas:
                ours = {label} if settings.separate_quota else labels.keys()
                kept = _kept(known, name, ours, model if per_model else "")
                quotas[of] = kept or Quota(limits, clock, share=share, paced=paced, written=written, money=money)
            found.append(
                Endpoint(
                    name,
                    label,
                    place,
                    providers.open(name, settings.model_copy(update={"model": model, "models": ()}), key),
                    quotas[of],
                    before.breaker if before is not None else Breaker(),
                    before.estimator if before is not None else Estimator(),
                    settings.price or NO_PRICE,
                    settings.fallback_model,
                    limits,
                    written,
                    per_model=per_model,
                    standby=model in spare,
                    out=STANDBY if model in spare else "",
                )
            )
    if not found:
        raise ValueError(f"set [providers.{name}] model")
    return found


def _kept(known: Mapping[Known, Endpoint], name: str, labels: Collection[str], model: str) -> Quota | None:
    """The quota that counted for one of these keys before, for this model by itself if `model` is not ""."""
    for (of, key, asked), endpoint in known.items():
        if of == name and key in labels and endpoint.per_model is bool(model) and model in {"", asked}:
            return endpoint.quota
    return None

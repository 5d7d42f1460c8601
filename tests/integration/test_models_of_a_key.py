"""Several models behind one key, and limits that nobody tells, over HTTP: who is asked, what is counted for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog.testing

from piyasad.gateway.gateway import Gateway
from piyasad.model import Lesson, Usage
from piyasad.providers.abilities import Abilities
from piyasad.providers.interface import NoProvider, ProviderError, Throttled
from piyasad.sandbox.llm_faults import Fault
from piyasad.sandbox.llm_limits import Limits
from tests.llm_bench import ENV, Bench, a_bench, within

BEST, NEXT = "openai/gpt-oss-120b", "openai/gpt-oss-20b"
BOTH: dict[str, Any] = {"model": None, "models": [BEST, NEXT], "quota_per_model": True}


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


def rows(gateway: Gateway) -> Iterator[tuple[str, str, int, str]]:
    for row in gateway.endpoints.report():
        if row["name"]:
            yield row["model"], row["name"], row["limit"], row["source"]


async def models(gateway: Gateway, times: int) -> list[str]:
    return [(await gateway.complete(within(2))).model for _ in range(times)]


async def test_the_best_model_is_asked_until_its_own_limit_is_met(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"rpm": 2})
    assert await models(gateway, 4) == [BEST, BEST, NEXT, NEXT]
    with pytest.raises(Throttled):
        await gateway.complete(within(0.2))


async def test_where_the_provider_counts_them_together_so_do_we(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"rpm": 2, "quota_per_model": False})
    assert await models(gateway, 2) == [BEST, BEST]
    with pytest.raises(Throttled):
        await gateway.complete(within(0.2))


async def test_a_refusal_of_one_model_holds_that_one_alone(bench: Bench) -> None:
    gateway = bench.gateway(BOTH)
    bench.llm.add_fault(Fault("429", model=BEST, count=1, seconds=60))
    assert await models(gateway, 3) == [NEXT, NEXT, NEXT]


async def test_a_model_that_is_gone_leaves_the_others(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"fallback_model": "gpt-6-luna"})
    bench.llm.add_fault(Fault("404", model=BEST))
    assert await models(gateway, 2) == [NEXT, NEXT]
    bench.llm.add_fault(Fault("404", model=NEXT))
    assert await models(gateway, 2) == ["gpt-6-luna", "gpt-6-luna"]
    bench.llm.add_fault(Fault("404", model="gpt-6-luna"))
    with pytest.raises(ProviderError):
        await gateway.complete(within(2))
    with pytest.raises(NoProvider):
        await gateway.complete(within(2))


async def test_what_was_used_earlier_counts_for_its_own_model(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"rpd": 3})
    [key] = {endpoint.label for endpoint in gateway.endpoints}
    gateway.restore([Usage("a", key, BEST, bench.clock.wall() - 3600, 3, 100, 0, 10, 0.0)])
    assert await models(gateway, 3) == [NEXT, NEXT, NEXT]


async def test_a_reload_keeps_each_model_s_count_even_when_it_was_away(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"rpd": 3})
    await models(gateway, 2)
    for row in (BOTH | {"models": [NEXT], "rpd": 3}, BOTH | {"rpd": 3}):
        settings = bench.settings(row)
        gateway.commit(settings, gateway.prepare(settings))
    assert await models(gateway, 3) == [BEST, NEXT, NEXT]


async def test_limits_are_learned_for_the_model_that_told_them(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"rpd": "unknown", "tpd": "none"})
    assert set(rows(gateway)) == {(model, "rpd", 50, "assumed: it publishes no figure") for model in (BEST, NEXT)}
    bench.llm.set_limits("key-a", Limits(rpd=700))
    bench.llm.add_fault(Fault("404", model="nobody"))
    await gateway.complete(within(2))
    told = set(rows(gateway))
    assert (NEXT, "rpd", 50, "assumed: it publishes no figure") in told
    assert len(told) >= 2


async def test_a_day_s_limit_that_nobody_told_is_what_was_used_when_it_was_refused(bench: Bench) -> None:
    gateway = bench.gateway({"rpd": "unknown", "tpd": "unknown"})
    await models(gateway, 2)
    body = {"error": {"message": "Daily request limit reached", "code": 429}}
    bench.llm.add_fault(Fault("answer", status=429, body=body, count=1, headers={"Retry-After": "1"}))
    with pytest.raises(Throttled):
        await gateway.complete(within(0.5))
    assert ("rpd", 2, "a refusal") in {(name, limit, source) for _, name, limit, source in rows(gateway)}
    await asyncio.sleep(1.1)
    with pytest.raises(Throttled):
        await gateway.complete(within(0.5))


async def test_beyond_this_machine_nobody_is_opened_with_local_only(bench: Bench) -> None:
    far = {"base_url": "http://192.0.2.7/v1"}
    with structlog.testing.capture_logs() as logs:
        gateway = bench.gateway(far, {}, local_only=True)
    assert {endpoint.name for endpoint in gateway.endpoints} == {"b"}
    assert "beyond this machine" in str(logs)
    assert ENV


# --- over restarts
async def test_what_was_learned_is_not_learned_again_after_a_restart(bench: Bench) -> None:
    kept: dict[tuple[str, str, str, str], Lesson] = {}

    def keep(row: Lesson) -> None:
        kept[row.provider, row.key, row.model, row.about] = row

    unknown = {"rpd": "unknown", "tpd": "unknown"}
    gateway = bench.gateway(BOTH | unknown)
    gateway.remember_with(keep)
    bench.llm.set_limits("key-a", Limits(rpd=700))
    bench.llm.add_fault(Fault("no_system", model=BEST))
    bench.llm.add_fault(Fault("thinks_first", model=BEST))
    assert (await gateway.complete(within(2))).model
    asked = bench.llm.usage()["total"]["requests"]
    assert asked > 1

    again = bench.gateway(BOTH | unknown)
    again.recall(kept.values())
    [best] = [endpoint for endpoint in again.endpoints if endpoint.provider.model == BEST]
    [before] = [endpoint for endpoint in gateway.endpoints if endpoint.provider.model == BEST]
    assert best.abilities is not None
    assert before.abilities is not None
    assert best.abilities.known() == before.abilities.known() != Abilities().known()
    assert best.quota is not None
    assert before.quota is not None
    assert best.quota.learned.known() == before.quota.learned.known()


async def test_a_guess_begins_with_the_smallest_figure_that_the_provider_told_of_another_model(bench: Bench) -> None:
    gateway = bench.gateway(BOTH | {"rpd": "unknown", "tpd": "none"})
    [label] = {endpoint.label for endpoint in gateway.endpoints}
    gateway.recall([Lesson("a", label, NEXT, "limits", {"said": {"rpd": [33, "a refusal", bench.clock.wall()]}})])
    assert {(model, limit) for model, _, limit, _ in rows(gateway)} == {(BEST, 33), (NEXT, 33)}


async def test_what_cannot_be_meant_is_not_recalled(bench: Bench) -> None:
    gateway = bench.gateway(BOTH)
    [label] = {endpoint.label for endpoint in gateway.endpoints}
    odd: list[Any] = [{}, {"said": 7, "without": "x"}, {"said": {"rpm": ["x"]}, "allowance": -5, "thinking": 7}]
    gateway.recall(
        [
            Lesson("a", key, BEST, about, what)
            for what in odd
            for key in ("", label)
            for about in ("limits", "abilities")
        ]
    )
    assert (await gateway.complete(within(2))).model == BEST

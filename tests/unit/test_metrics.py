"""The metric registry: the contract's names, every one of them fed, and a page that Prometheus' own tool accepts."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import piyasad
from piyasad.metrics import Family, Metrics
from piyasad.ops.exposition import render

CONTRACT = {
    "piyasad_messages_total": ("chat", "kind", "outcome"),
    "piyasad_turns_total": ("intent", "outcome"),
    "piyasad_turn_lateness_seconds": (),
    "piyasad_turn_duration_seconds": ("stage",),
    "piyasad_llm_requests_total": ("provider", "model", "outcome"),
    "piyasad_llm_tokens_total": ("provider", "model", "type"),
    "piyasad_llm_cost_usd_total": ("provider", "model"),
    "piyasad_llm_wait_seconds": ("class",),
    "piyasad_quota_remaining_ratio": ("provider", "window"),
    "piyasad_quota_stretch_ratio": (),
    "piyasad_breaker_open": ("provider",),
    "piyasad_telegram_requests_total": ("method", "outcome"),
    "piyasad_telegram_retry_after_seconds": (),
    "piyasad_uncertain": (),
    "piyasad_lease_lost_total": (),
    "piyasad_guard_verdicts_total": ("guard", "verdict"),
    "piyasad_governor_total": ("reason",),
    "piyasad_store_query_seconds": ("query",),
    "piyasad_redis_up": (),
    "piyasad_feed_lag_seconds": (),
    "piyasad_bots": ("state",),
    "piyasad_bot_restarts_total": (),
    "piyasad_shard_info": ("shard", "shards"),
    "piyasad_loop_lag_seconds": (),
    "piyasad_build_info": ("version", "python"),
    "piyasad_config_last_reload_successful": (),
    "piyasad_config_last_reload_success_timestamp_seconds": (),
}


def described(metrics: Metrics) -> dict[str, tuple[str, ...]]:
    found = {}
    for metric in metrics.all():
        (family,) = (metric.parent if isinstance(metric, Family) else metric).describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = metric.names if isinstance(metric, Family) else ()
    return found


def fill(metrics: Metrics) -> None:
    """One observation everywhere, with label values that need escaping."""
    for metric in metrics.all():
        child = metric.labels(*('a "b" \\ c\nğ' for _ in metric.names)) if isinstance(metric, Family) else metric
        getattr(child, "observe", getattr(child, "inc", None))(0.07)  # type: ignore[misc]


def values(page: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_names_and_labels_are_the_contracts() -> None:
    assert described(Metrics(redis=True)) == CONTRACT


def test_no_metric_is_defined_and_not_fed() -> None:
    source = "\n".join(
        path.read_text() for path in Path(piyasad.__file__).parent.rglob("*.py") if path.name != "metrics.py"
    )
    attributes = [
        name for name, value in vars(Metrics(redis=True)).items() if name != "registry" and not name.startswith("_")
    ]
    assert len(attributes) == len(CONTRACT)
    assert [name for name in attributes if not re.search(rf"metrics\.{name}\b", source)] == []


@pytest.mark.parametrize("name", ["turn_lateness", "loop_lag"])
def test_lateness_is_judged_at_50_and_100_milliseconds(name: str) -> None:
    metrics = Metrics(redis=True)
    getattr(metrics, name).observe(0.07)
    assert metrics.registry.get_sample_value(f"piyasad_{name}_seconds_bucket", {"le": "0.05"}) == 0
    assert metrics.registry.get_sample_value(f"piyasad_{name}_seconds_bucket", {"le": "0.1"}) == 1


def test_two_registries_share_nothing() -> None:
    one, other = Metrics(redis=True), Metrics()
    one.lease_lost.inc()
    assert other.registry.get_sample_value("piyasad_lease_lost_total") == 0


def test_labels_give_the_same_child_again() -> None:
    metrics = Metrics(redis=True)
    assert metrics.bots.labels("active") is metrics.bots.labels("active")
    with pytest.raises(ValueError, match="label"):
        metrics.bots.labels("active", "too", "many")


async def test_the_page_says_what_the_library_would() -> None:
    metrics = Metrics(redis=True)
    fill(metrics)
    metrics.quota_stretch_ratio.set(float("inf"))
    metrics.uncertain.set(float("-inf"))
    assert values(await render(metrics)) == values(generate_latest(metrics.registry))
    metrics.uncertain.set(float("nan"))
    assert b"piyasad_uncertain NaN\n" in await render(metrics)


async def test_promtool_finds_nothing_to_say() -> None:
    if shutil.which("promtool") is None:
        if os.environ.get("PIYASAD_REQUIRE_ALL") == "1":
            pytest.fail("promtool is missing: apt install prometheus")
        pytest.skip("no promtool here (apt install prometheus)")
    metrics = Metrics(redis=True)
    fill(metrics)
    page = await render(metrics)
    done = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_a_large_page_never_holds_the_loop() -> None:
    metrics = Metrics(redis=True)
    for number in range(9_000):
        metrics.messages.labels(str(-1001000000000 - number // 30), f"kind{number % 6}", str(number % 5)).inc()
    gc.collect()
    gc.freeze()  # as the engine does: a collection over everything that the tests imported is not the page's doing
    try:
        held = [await longest_hold(metrics) for _ in range(3)]
    finally:
        gc.unfreeze()
    assert min(held) < 0.020


async def longest_hold(metrics: Metrics) -> float:
    """The longest time in which nobody else got a turn while the page was written."""
    turns = 0
    busiest = 0.0

    async def watch() -> None:
        nonlocal turns, busiest
        last = time.thread_time()  # CPU of this thread: a busy machine does not fail the test
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            turns, busiest, last = turns + 1, max(busiest, now - last), now

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    page = await render(metrics)
    watcher.cancel()
    assert len(page.splitlines()) > 9_000
    assert turns > 4
    return busiest


def test_without_redis_nobody_is_told_that_it_is_down() -> None:
    assert "piyasad_redis_up" not in {family.name for family in Metrics().registry.collect()}

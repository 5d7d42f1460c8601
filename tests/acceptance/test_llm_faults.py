"""A daemon whose LLM provider fails in every way, over HTTP: nothing crashes, nothing is lost without a reason.

Issue 3's faults, with the durations scaled down by the configuration's pace.
"""

from __future__ import annotations

import asyncio
import re
import signal
import time
from pathlib import Path

from piyasad.sandbox.llm_faults import Fault
from piyasad.sandbox.llm_flaws import Flaws
from piyasad.sandbox.server import Sandbox
from tests.acceptance.daemons import Daemon, daemon, until, write_world

KEY = "sk-sandbox-0000000000"
MIXED = (
    *(Fault("500", share=0.05), Fault("cut_before", share=0.03), Fault("cut_after", share=0.02)),
    *(Fault("hang", share=0.02, seconds=3.0), Fault("html", share=0.02), Fault("empty", share=0.02)),
    *(Fault("truncated", share=0.01), Fault("refusal", share=0.03)),
)
FLAWED = re.compile(r"<think|</think|\*\*|^#|^\W*Tabii ki|Yatırım tavsiyesi değildir|[а-яА-Я]|Sen .{1,20}'s[ıiuü]n")


def lines(box: Sandbox) -> int:
    return sum(1 for row in box.messages() if row["bot"])


async def more(box: Sandbox, than: int, patience: float) -> float:
    """Seconds until more than so many lines of bots stand in the room."""
    began = time.monotonic()

    async def check() -> bool:
        return lines(box) > than

    await until(check, f"more than {than} lines", patience)
    return time.monotonic() - began


async def accounted(box: Sandbox, running: Daemon) -> None:
    """Every call that the server saw stands in the metrics with what became of it."""

    async def check() -> bool:
        seen = box.llm.usage()["total"]["requests"]
        told = await running.metric('piyasad_llm_requests_total{provider="sandbox"')
        return bool(seen <= told)  # a connection that was cut early is told of and not seen

    await until(check, "every call accounted for", 15)


async def test_every_fault_of_a_provider_ends_in_silence_and_talk_again(
    sandbox: Sandbox, pg_dsn: str, home: Path
) -> None:
    config = write_world(sandbox, home, bots=6, postgres=pg_dsn, mean=0.6)
    text = config.read_text(encoding="utf-8")
    text = text.replace(
        "[gateway]\n", "[gateway]\ntimeout_seconds = 1\ndeadlines = { reply = 4, topic = 4, answer = 4 }\n"
    )
    config.write_text(text, encoding="utf-8")
    async with daemon(config) as running:
        await running.ready()
        await more(sandbox, 3, 20)
        for fault in MIXED:
            sandbox.llm.add_fault(fault)
        await more(sandbox, lines(sandbox) + 15, 40)
        await accounted(sandbox, running)

        sandbox.llm.clear_faults()
        sandbox.llm.add_fault(Fault("503"))
        await asyncio.sleep(4)
        silent = lines(sandbox)
        await asyncio.sleep(2)
        assert lines(sandbox) <= silent + 1, "the room goes quiet"
        assert await running.metric('piyasad_breaker_open{provider="sandbox"') == 1
        sandbox.llm.clear_faults()
        assert await more(sandbox, lines(sandbox), 15) <= 10, "the first message within ten seconds of recovery"

        sandbox.llm.add_fault(Fault("429", seconds=3 * 3600, count=1))
        sandbox.llm.remove_key(KEY)

        async def quiet() -> bool:
            before = sandbox.llm.usage()["total"]["requests"]
            await asyncio.sleep(1.5)
            return bool(sandbox.llm.usage()["total"]["requests"] == before)

        await until(quiet, "nobody asks any more", 20)
        assert running.process.returncode is None
        assert (await running.get("/-/healthy"))[0] == 200
        assert await running.metric("piyasad_bot_restarts_total") == 0
        assert await running.end(signal.SIGTERM) == 0
    assert not any(KEY in event for event in running.events())


async def test_what_a_small_model_writes_reaches_nobody_unclean(sandbox: Sandbox, pg_dsn: str, home: Path) -> None:
    sandbox.llm.flaws = Flaws(1.0)
    config = write_world(sandbox, home, bots=6, postgres=pg_dsn, mean=0.5)
    async with daemon(config) as running:
        await running.ready()
        await more(sandbox, 25, 60)
        assert await running.metric('piyasad_guard_verdicts_total{guard="speaker"') > 0
    said = [row["text"] for row in sandbox.messages() if row["bot"] and not row["text"].startswith("Bu gruptaki")]
    assert [text for text in said if FLAWED.search(text)] == []
    assert [text for text in said if re.match(r"Bot \d+\s*:", text)] == []
    assert sum(sandbox.llm.usage()["flaws"].values()) >= 25

"""Our LLM server itself: it enforces what it says, words it as the real ones, and can be commanded over HTTP."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from piyasad.sandbox.llm import Limits, LlmConfig, LlmKey, LlmServer
from piyasad.sandbox.llm_flaws import KINDS
from piyasad.sandbox.llm_limits import Account, Refusal, go_duration
from piyasad.sandbox.llm_text import count_tokens, cut, write
from tests.llm import serving

AUTH = {"Authorization": "Bearer key"}
MODEL = "gpt-4.1-mini"
SYSTEM = "Sen Ali Hoca (@ali_hoca_bot), bir Telegram grubunda bir karaktersin. Yalnızca Türkçe yazarsın."
USER = "Son mesajlar:\n<<<\nÜye 1: Dolar ne olur?\n>>>\nŞimdi Ali Hoca olarak yaz: tek mesaj, yalnızca metin."


@pytest.fixture
def llm() -> LlmServer:
    return LlmServer(LlmConfig(keys=(LlmKey("key", Limits(rpm=3, tpm=1000, rpd=100, tpd=100_000)),)))


@pytest.fixture
async def url(llm: LlmServer) -> AsyncIterator[str]:
    async with serving(llm) as address:
        yield address


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def body(**more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "Altın ne olur?"}], "max_tokens": 60} | more


async def post(
    http: aiohttp.ClientSession, url: str, path: str = "/chat/completions", **kwargs: Any
) -> tuple[int, dict[str, Any], dict[str, str]]:
    async with http.post(url + path, headers=kwargs.pop("headers", AUTH), **kwargs) as response:
        return response.status, await response.json(), {k.lower(): v for k, v in response.headers.items()}


async def test_limits_are_enforced_and_told_as_groq_does(url: str, http: aiohttp.ClientSession, llm: LlmServer) -> None:
    for left in (99, 98, 97):
        status, _, headers = await post(http, url, json=body())
        assert status == 200
        assert headers["x-ratelimit-remaining-requests"] == str(left)
    status, answer, headers = await post(http, url, json=body())
    assert status == 429
    assert int(headers["retry-after"]) >= 58
    pattern = (
        r"Rate limit reached for model `gpt-4.1-mini` in organization `org_sandbox` service tier `on_demand` on "
        r"requests per minute \(RPM\): Limit 3, Used 3, Requested 1\. Please try again in (\d+\.?\d*)s\..*"
    )
    assert re.match(pattern, answer["error"]["message"])
    assert answer["error"]["code"] == "rate_limit_exceeded"
    assert llm.usage()["total"] | {"violations": 1, "throttled": 1, "answered": 3} == llm.usage()["total"]


async def test_admission_counts_the_prompt_and_max_tokens_and_settles(
    url: str, http: aiohttp.ClientSession, llm: LlmServer
) -> None:
    llm.set_limits("key", Limits(tpm=1000))
    assert (await post(http, url, json=body(max_tokens=2000)))[0] == 413
    for _ in range(5):  # each reserves about 610 of 1,000 and uses less than 100
        status, answer, headers = await post(http, url, json=body(max_tokens=600))
        assert status == 200
    left = 1000 - llm.usage()["total"]["prompt_tokens"] - llm.usage()["total"]["completion_tokens"]
    assert int(headers["x-ratelimit-remaining-tokens"]) == left
    assert answer["usage"]["total_tokens"] < 100


@pytest.mark.parametrize(
    ("sent", "headers", "status", "code"),
    [
        (body(), {"Authorization": "Bearer wrong"}, 401, "invalid_api_key"),
        (body(), {}, 401, "invalid_api_key"),
        (body(model="llama-9"), AUTH, 404, "model_not_found"),
        (body(messages=[]), AUTH, 400, None),
        ({"messages": []}, AUTH, 400, None),
        ([], AUTH, 400, None),
    ],
)
async def test_wrong_requests_are_refused_in_the_real_words(
    url: str, http: aiohttp.ClientSession, sent: Any, headers: dict[str, str], status: int, code: str | None
) -> None:
    got, answer, _ = await post(http, url, json=sent, headers=headers)
    assert (got, answer["error"].get("code")) == (status, code)


async def test_it_is_commanded_over_http(url: str, http: aiohttp.ClientSession) -> None:
    control = url.removesuffix("/openai/v1") + "/sandbox"
    assert (await post(http, control, "/keys", json={"key": "new", "limits": {"rpm": 1}}))[0] == 200
    new = {"Authorization": "Bearer new"}
    assert [(await post(http, url, json=body(), headers=new))[0] for _ in range(2)] == [200, 429]
    assert (await post(http, control, "/limits", json={"key": "new", "limits": {"rpm": 10}}))[0] == 200
    assert (await post(http, url, json=body(), headers=new))[0] == 200
    assert (await post(http, control, "/faults", json={"kind": "503", "count": 1}))[0] == 200
    assert [(await post(http, url, json=body(), headers=new))[0] for _ in range(2)] == [503, 200]
    await post(http, control, "/faults", json={"kind": "500"})
    async with http.delete(control + "/faults") as response:
        assert response.status == 200
    assert (await post(http, url, json=body(), headers=new))[0] == 200
    assert (await post(http, control, "/latency", json={"seconds": 0.01}))[0] == 200
    assert (await post(http, control, "/keys", json={"key": "new", "revoke": True}))[0] == 200
    assert (await post(http, url, json=body(), headers=new))[0] == 401
    async with http.get(control + "/usage") as response:
        rows = (await response.json())["rows"]
    assert [(row["key"], row["answered"], row["violations"]) for row in rows] == [("new", 4, 1)]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/faults", {"kind": "earthquake"}),
        ("/faults", {"kind": "500", "share": 2}),
        ("/faults", {"what": 1}),
        ("/limits", {"limits": {"rpm": "many"}}),
        ("/keys", {"limits": {}}),
        ("/keys", {"key": "k", "limits": {"xpm": 1}}),
        ("/flaws", {"share": 2}),
        ("/flaws", {"kinds": ["earthquake"]}),
        ("/flaws", {"kinds": []}),
        ("/flaws", []),
        ("/latency", {}),
        ("/latency", []),
    ],
)
async def test_nonsense_commands_are_refused(url: str, http: aiohttp.ClientSession, path: str, sent: Any) -> None:
    assert (await post(http, url.removesuffix("/openai/v1") + "/sandbox", path, json=sent))[0] == 400


async def texts(http: aiohttp.ClientSession, url: str, number: int, **more: Any) -> list[tuple[str, str, int]]:
    """Text, finish reason and completion tokens of so many answers."""
    sent = {"messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}], **more}
    found = []
    for _ in range(number):
        status, answer, _ = await post(http, url, json=body(**sent))
        assert status == 200
        choice = answer["choices"][0]
        found.append((choice["message"]["content"], choice["finish_reason"], answer["usage"]["completion_tokens"]))
    return found


async def flaws_counted(http: aiohttp.ClientSession, control: str) -> tuple[dict[str, int], int, int]:
    """Flawed answers by kind, in the total, and in the rows."""
    async with http.get(control + "/usage") as response:
        usage = await response.json()
    return usage["flaws"], usage["total"]["flawed"], sum(row["flawed"] for row in usage["rows"])


async def test_small_model_mode_is_switched_and_counted_over_http(
    url: str, http: aiohttp.ClientSession, llm: LlmServer
) -> None:
    llm.set_limits("key", Limits())
    control = url.removesuffix("/openai/v1") + "/sandbox"
    assert all(finish == "stop" for _, finish, _ in await texts(http, url, 20, max_tokens=600))
    assert await flaws_counted(http, control) == (dict.fromkeys(KINDS, 0), 0, 0)

    assert (await post(http, control, "/flaws", json={"share": 1, "kinds": ["cut", "name"]}))[0] == 200
    found = await texts(http, url, 60, max_tokens=600)
    cut = [text for text, finish, _ in found if finish == "length"]
    named = [text for text, finish, _ in found if finish == "stop"]
    assert cut
    assert all(text[-1].isalpha() for text in cut)
    assert named
    assert all(re.match(r"[\W_]*(?:ali hoca|alİ hoca|ali|ali_hoca_bot)\b", text, re.IGNORECASE) for text in named)
    assert all(spent == count_tokens(text) for text, _, spent in found)
    counts = dict.fromkeys(KINDS, 0) | {"cut": len(cut), "name": len(named)}
    assert await flaws_counted(http, control) == (counts, 60, 60)

    async with http.delete(control + "/flaws") as response:
        assert response.status == 200
    assert all(finish == "stop" for _, finish, _ in await texts(http, url, 20, max_tokens=600))
    assert await flaws_counted(http, control) == (counts, 60, 60)

    assert (await post(http, control, "/flaws", json={}))[0] == 200  # 30 % of every kind
    await texts(http, url, 200, max_tokens=600)
    by_kind, total, in_rows = await flaws_counted(http, control)
    assert sum(by_kind.values()) == total == in_rows
    assert 60 + 200 * 0.3 - 33 <= total <= 60 + 200 * 0.3 + 33  # five standard deviations


async def test_flawed_answers_keep_within_max_tokens_and_leave_the_lines_below_them_as_they_are(
    http: aiohttp.ClientSession,
) -> None:
    async def run(config: LlmConfig) -> list[tuple[str, str, int]]:
        async with serving(LlmServer(config)) as address:
            return await texts(http, address, 120, max_tokens=70)

    plain, flawed, again = await run(LlmConfig(seed=3)), *[await run(LlmConfig(seed=3, flawed=0.5)) for _ in range(2)]
    assert flawed == again
    assert all(spent <= 70 for _, _, spent in flawed)
    same = sum(one == other for one, other in zip(plain, flawed, strict=True))
    assert 33 <= same <= 87  # about half of 120: the others are flawed


async def test_an_answer_that_a_fault_takes_away_is_not_counted_as_flawed(
    url: str, http: aiohttp.ClientSession, llm: LlmServer
) -> None:
    control = url.removesuffix("/openai/v1") + "/sandbox"
    await post(http, control, "/flaws", json={"share": 1})
    await post(http, control, "/faults", json={"kind": "empty", "count": 1})
    assert (await texts(http, url, 1))[0][0] == ""
    assert llm.usage()["total"]["flawed"] == 0
    assert (await texts(http, url, 1))[0][0] != ""
    assert llm.usage()["total"]["flawed"] == 1


def test_what_a_limit_admits_is_exact_over_every_window() -> None:
    account = Account(Limits(rpm=5, tpm=100))
    rng = random.Random(3)
    now, admitted = 0.0, []
    for _ in range(2000):
        now += rng.expovariate(1.0)
        entry = account.admit(10, now)
        if isinstance(entry, Refusal):
            assert 0 < entry.wait <= 60
            continue
        admitted.append(now)
        account.settle(entry, rng.randint(-5, 5))
    for index, at in enumerate(admitted):
        assert sum(1 for other in admitted[index : index + 10] if other < at + 60) <= 5
    assert account.tokens_minute.most <= 105


def test_durations_are_written_as_go_does() -> None:
    assert [go_duration(s) for s in (432.0, 179.56, 4.77, 0.12, 3603.0, 0.0)] == [
        "7m12s",
        "2m59.56s",
        "4.77s",
        "120ms",
        "1h0m3s",
        "0s",
    ]


def test_its_lines_are_varied_and_within_the_limit() -> None:
    rng = random.Random(5)
    lines = {write("Üye 1: GARAN için ne dersiniz?", rng) for _ in range(200)}
    assert len(lines) > 180
    assert sum("GARAN" in line for line in lines) > 100
    text, finish = cut("a" * 1000, 50)
    assert (count_tokens(text), finish) == (50, "length")

"""`check --online` and the LLM providers: what it finds out over real HTTP, in every dialect."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from piyasad.commands.check.check import Finding, Level, check
from piyasad.config import Settings
from piyasad.sandbox.llm import Fault, Limits, LlmConfig, LlmKey, LlmServer
from tests.llm import serving

KEY, GONE = "sk-secret-sandbox-key", "sk-secret-revoked-key"
ENV = {"KEY": KEY, "GONE": GONE}
DIALECTS = {
    "openai": ("/openai/v1", "openai/gpt-oss-120b"),  # thinks before it answers
    "gemini": ("/gemini/v1beta", "gemini-3.6-flash"),
    "anthropic": ("/anthropic/v1", "claude-haiku-5-5"),
}
UNKNOWN = {
    "openai": ("openai/gpt-oss-200b", "openai/gpt-oss-120b"),
    "gemini": ("gemini-1.5-flash", "gemini-2.5-flash"),
    "anthropic": ("claude-3-5-haiku-latest", "claude-haiku-5-5"),
}
Row = dict[str, Any]


class House:
    """A server, and configurations whose only provider is on it."""

    def __init__(self, llm: LlmServer, url: str, folder: Path) -> None:
        self.llm = llm
        self.root = url.removesuffix("/openai/v1")
        self.folder = folder

    def provider(self, kind: str, **keys: Any) -> Row:
        path, model = DIALECTS[kind]
        return {"kind": kind, "base_url": self.root + path, "model": model, "api_key_env": "KEY"} | keys

    def settings(self, providers: Mapping[str, Row], *, route: Sequence[str] = (), timeout: float = 5) -> Settings:
        return Settings.model_validate(
            {
                "store": {"data_dir": str(self.folder)},
                "gateway": {"route": list(route or providers), "timeout_seconds": timeout},
                "providers": dict(providers),
            }
        )

    async def found(self, settings: Settings, env: dict[str, str] | None = None) -> list[Finding]:
        """What is said of providers online."""
        offline = await check(settings, ENV | (env or {}))
        online = await check(settings, ENV | (env or {}), online=True)
        told = [finding for finding in online if finding not in offline]
        assert KEY not in str(told)
        assert GONE not in str(told)
        return told

    async def one(self, kind: str, env: dict[str, str] | None = None, **keys: Any) -> Finding:
        """The one thing said of a provider of that kind."""
        (finding,) = await self.found(self.settings({kind: self.provider(kind, **keys)}), env)
        return finding


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    llm = LlmServer(LlmConfig(keys=(LlmKey(KEY),)))
    async with serving(llm) as url:
        yield House(llm, url, tmp_path)


@pytest.fixture(params=list(DIALECTS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_good_key_and_model_are_proved_by_one_call(house: House, kind: str) -> None:
    other = next(name for name in house.llm.models if name != DIALECTS[kind][1])
    finding = await house.one(kind, fallback_model=other)
    total = house.llm.usage()["total"]
    model, count = DIALECTS[kind][1], len(house.llm.models)
    assert (finding.level, finding.where, finding.cure) == (Level.NOTE, f"provider {kind} ($KEY)", "")
    assert finding.what.startswith(f"{model} answered in ")
    assert f"({total['prompt_tokens']} tokens read, {total['completion_tokens']} written)" in finding.what
    assert finding.what.endswith(f"; {count} models listed, model {model} and fallback_model {other} among them")
    assert total["requests"] == 1
    assert total["prompt_tokens"] < 40


async def test_a_wrong_key_is_an_error_where_nobody_else_can_be_asked(house: House, kind: str) -> None:
    finding = await house.one(kind, api_key_env="GONE")
    assert (finding.level, finding.where) == (Level.ERROR, f"provider {kind} ($GONE)")
    assert "the key is refused" in finding.what
    assert finding.cure == "put a valid key with credit into $GONE"


async def test_a_wrong_key_is_a_warning_where_another_provider_works(house: House, kind: str) -> None:
    bad = house.provider(kind, api_key_env="GONE")
    told = await house.found(house.settings({"bad": bad, "good": house.provider("gemini")}))
    assert [(f.level, f.where) for f in told] == [
        (Level.WARNING, "provider bad ($GONE)"),
        (Level.NOTE, "provider good ($KEY)"),
    ]
    (behind,) = await house.found(house.settings({"bad": bad}, route=["bad", "offline"]))
    assert behind.level is Level.WARNING


async def test_an_unknown_model_names_the_nearest(house: House, kind: str) -> None:
    model, near = UNKNOWN[kind]
    finding = await house.one(kind, model=model)
    assert finding.level is Level.ERROR
    assert finding.what.startswith(f"model {model}: not found; did you mean {near}")
    assert "(404 " in finding.what
    assert finding.cure == f"set [providers.{kind}] model to one that the key may use"


async def test_an_unknown_model_like_no_other_names_some_that_exist(house: House) -> None:
    house.llm.models = ("b", "a")
    finding = await house.one("openai", model="zzz")
    assert "; among the 2 listed are a, b" in finding.what


async def test_a_fallback_stands_in_for_an_unknown_model(house: House) -> None:
    finding = await house.one("gemini", model="gemini-1.5-flash", fallback_model="gemini-2.5-flash")
    assert finding.level is Level.WARNING
    assert finding.what.endswith("; the daemon goes on with fallback_model gemini-2.5-flash")


async def test_an_unknown_fallback_is_said_once(house: House) -> None:
    house.llm.add_key(LlmKey(GONE))
    row = house.provider("openai", api_key_env=["KEY", "GONE"], fallback_model="gpt-oss-30b")
    told = [f for f in await house.found(house.settings({"openai": row})) if f.level is Level.WARNING]
    assert [(f.where, f.what) for f in told] == [
        (
            "provider openai",
            "fallback_model gpt-oss-30b: not found; did you mean openai/gpt-oss-20b, openai/gpt-oss-120b?",
        )
    ]


async def test_a_model_that_the_key_may_not_use_is_no_typing_error(house: House) -> None:
    house.llm.add_fault(Fault("404"))
    finding = await house.one("openai")
    assert "is listed, but this key may not use it" in finding.what


async def test_a_server_that_is_down_is_told_by_its_place(tmp_path: Path, kind: str) -> None:
    async with serving(LlmServer()) as url:
        house = House(LlmServer(), url, tmp_path)
    finding = await house.one(kind)
    assert finding.level is Level.ERROR
    assert finding.what == "the server cannot be reached: cannot connect (ClientConnectorError)"
    assert finding.cure.startswith(f"start the server, or correct [providers.{kind}] base_url (127.0.0.1:")


async def test_a_used_up_quota_proves_the_key(house: House, kind: str) -> None:
    house.llm.add_fault(Fault("429", seconds=200))
    finding = await house.one(kind)
    assert finding.level is Level.WARNING
    assert finding.what.startswith("the key works, but its quota is used up: 429 ")
    assert finding.what.endswith(f"; {len(house.llm.models)} models listed, model {DIALECTS[kind][1]} among them")
    assert "put another provider behind it in gateway.route" in finding.cure
    assert "wait 3 min" in finding.cure or kind == "gemini"  # the sandbox's Gemini never names a minute's wait


async def test_a_day_s_quota_that_is_used_up_is_told_as_such(house: House) -> None:
    house.llm.set_limits(KEY, Limits(rpd=1))
    assert (await house.one("gemini")).level is Level.NOTE
    finding = await house.one("gemini")
    assert finding.level is Level.WARNING
    assert finding.cure.startswith("a day's quota renews by tomorrow")


async def test_a_model_that_the_plan_does_not_include_is_no_wait(house: House) -> None:
    house.llm.set_limits(KEY, Limits(rpd=0))
    finding = await house.one("gemini")
    assert finding.level is Level.ERROR
    assert finding.what.endswith("(this key has no quota for gemini-3.6-flash)")


async def test_an_account_without_credit_is_no_wait(house: House) -> None:
    house.llm.add_fault(Fault("insufficient_quota"))
    finding = await house.one("openai")
    assert finding.level is Level.ERROR
    assert "out of credit" in finding.what
    assert "$KEY" in finding.cure


async def test_a_refusal_of_the_text_proves_the_key(house: House, kind: str) -> None:
    house.llm.add_fault(Fault("refusal"))
    finding = await house.one(kind)
    assert finding.level is Level.WARNING
    assert finding.what.startswith("the key works, but ")


@pytest.mark.parametrize("fault", ["500", "html", "cut_body", "empty", "413"])
async def test_other_failures_are_one_line_with_a_cure(house: House, kind: str, fault: str) -> None:
    house.llm.add_fault(Fault(fault))
    finding = await house.one(kind)
    assert finding.level is Level.ERROR
    assert finding.what
    assert finding.cure


async def test_all_are_asked_at_once_and_none_longer_than_its_time(house: House) -> None:
    house.llm.add_fault(Fault("hang", model=DIALECTS["openai"][1]))
    hung = {f"hung{n}": house.provider("openai") for n in range(5)}
    began = time.monotonic()
    told = await house.found(house.settings(hung | {"good": house.provider("anthropic")}, timeout=0.5))
    assert time.monotonic() - began < 2
    assert [f.what.partition(";")[0] for f in told[:5]] == ["no answer within 0.5 s"] * 5
    assert "answered" in told[5].what


async def test_each_key_is_tried_and_named_by_its_place(house: House, tmp_path: Path) -> None:
    row = house.provider("openai", api_key_env=["KEY", "GONE", "NOT_SET"])
    told = await house.found(house.settings({"openai": row}))
    assert [(f.level, f.where) for f in told] == [
        (Level.WARNING, "provider openai, key 2 of 2 ($GONE)"),
        (Level.NOTE, "provider openai, key 1 of 2 ($KEY)"),
    ]
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    row = house.provider("openai", api_key_env=[], api_key_file=[str(file)])
    (in_file,) = await house.found(house.settings({"openai": row}))
    assert in_file.where == f"provider openai ({file})"


async def test_a_key_that_no_header_can_carry_is_said_and_not_shown(house: House) -> None:
    finding = await house.one("openai", env={"KEY": "anahtarım"})
    assert finding.what == "the key holds letters that no key has"
    assert "anahtar" not in str(finding)


# --- Servers unlike the sandbox: no list, other names, nonsense


class Odd:
    """A server of the OpenAI dialect whose answers the test says."""

    def __init__(self, models: Any, message: dict[str, Any], finish: str = "stop", error: str = "") -> None:
        self.models = models
        self.message = message
        self.finish = finish
        self.error = error
        self.asked: list[dict[str, Any]] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._answer)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        if self.models is None:
            return web.Response(status=404, text="no such page")
        return web.json_response({"data": [{"id": name} for name in self.models]})

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if self.error:
            return web.json_response({"error": {"message": self.error}}, status=500)
        usage = {"prompt_tokens": 20, "completion_tokens": 200}
        choice = {"message": self.message, "finish_reason": self.finish}
        return web.json_response({"choices": [choice], "usage": usage})


async def told_of(odd: Odd, folder: Path, model: str = "some-model") -> Finding:
    """What is said of it; it stands on this machine, so it needs no key."""
    async with TestServer(odd.app()) as server:
        row = {"kind": "openai", "base_url": str(server.make_url("/v1")), "model": model}
        house = House(LlmServer(), "", folder)
        (finding,) = await house.found(house.settings({"odd": row}))
    assert len(odd.asked) == 1
    return finding


async def test_a_model_that_answers_under_another_name_is_fine(tmp_path: Path) -> None:
    finding = await told_of(Odd(["other"], {"content": "OK"}), tmp_path)
    assert (finding.level, finding.where) == (Level.NOTE, "provider odd")
    assert "some-model not by this name, which is fine as it answers" in finding.what


async def test_a_server_without_a_list_is_proved_by_the_text_alone(tmp_path: Path) -> None:
    finding = await told_of(Odd(None, {"content": "OK"}), tmp_path)
    assert finding.level is Level.NOTE
    assert "(20 tokens read, 200 written); its models cannot be listed (404 " in finding.what


async def test_a_model_that_only_thinks_is_told_as_such(tmp_path: Path) -> None:
    odd = Odd(["some-model"], {"content": "", "reasoning": "hm"}, "length")
    finding = await told_of(odd, tmp_path)
    assert finding.level is Level.ERROR
    assert "spent its whole output on thinking" in finding.what
    assert finding.cure == "set [providers.odd] model to one that thinks less"
    assert 100 <= odd.asked[0]["max_tokens"] <= 300


async def test_names_that_are_none_are_not_shown(tmp_path: Path) -> None:
    finding = await told_of(Odd(["good", "bad\x1b[31m", "x" * 5000], {"content": "OK"}), tmp_path)
    assert "1 model listed" in finding.what
    assert finding.what.isprintable()


async def test_a_server_s_words_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    finding = await told_of(Odd(["some-model"], {}, error="out\x1b[31m\n\tof  order"), tmp_path)
    assert finding.what.startswith("500 out[31m of order; 1 model listed")

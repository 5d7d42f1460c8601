"""`check`: what it finds, how it sorts, what it expects of a day."""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from piyasad.bots.forecast import forecast_words
from piyasad.clock import LoopClock
from piyasad.commands.check.check import NOT_YET, Finding, Level, check
from piyasad.commands.check.models import is_listed, nearest
from piyasad.commands.check.online import NEW_TOKENS_PER_MINUTE, most_a_minute, paced, until_next
from piyasad.config import ProviderSettings, Settings
from piyasad.config.load import ConfigError, Problem, default_config, load
from tests.virtual import run_virtual

ENV = {"T": "123456:abc", "GROQ_API_KEY": "k", "OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"}


def settings(tmp_path: Path, **sections: Any) -> Settings:
    base: dict[str, Any] = {
        "store": {"data_dir": str(tmp_path)},
        "chats": [{"id": -1001234567890, "title": "Oda"}],
        "bots": [{"name": "Ali", "username": "ali_bot", "token_env": "T", "chats": [-1001234567890]}],
        "gateway": {"route": ["offline"]},
    }
    return Settings.model_validate(base | sections)


def found(findings: list[Finding], where: str) -> Finding:
    hits = [finding for finding in findings if finding.where == where]
    assert len(hits) == 1, (where, findings)
    return hits[0]


async def test_a_good_configuration_has_only_notes(tmp_path: Path) -> None:
    findings = await check(settings(tmp_path), ENV)
    assert {finding.level for finding in findings} == {Level.NOTE}
    json.dumps([finding.as_json() for finding in findings])


async def test_a_broken_configuration_gives_its_problems(tmp_path: Path) -> None:
    error = ConfigError([Problem("a.toml", 3, "pace.x", "unknown key"), Problem("a.toml", 1, "", "broken")])
    findings = await check(error, {})
    assert [(f.level, f.where, f.what) for f in findings] == [
        (Level.ERROR, "a.toml:1", "broken"),
        (Level.ERROR, "a.toml:3", "pace.x: unknown key"),
    ]


async def test_errors_come_first(tmp_path: Path) -> None:
    findings = await check(settings(tmp_path, gateway={"route": ["groq"]}), {})
    levels = [list(Level).index(finding.level) for finding in findings]
    assert levels == sorted(levels)
    assert found(findings, "gateway.route").level is Level.ERROR
    assert "$GROQ_API_KEY is not set" in found(findings, "provider groq").what


async def test_a_bot_without_a_token_is_parked(tmp_path: Path) -> None:
    finding = found(await check(settings(tmp_path), {}), "bot Ali")
    assert (finding.level, finding.what) == (Level.WARNING, "is parked: $T is not set")


async def test_a_basic_group_is_a_warning_with_the_steps(tmp_path: Path) -> None:
    basic = settings(tmp_path, chats=[{"id": -4567, "title": "Oda"}])
    findings = [f for f in await check(basic, ENV) if f.where == "chat Oda"]
    assert {f.level for f in findings} == {Level.WARNING}
    assert any("upgrade it" in f.cure and "basic group" in f.what for f in findings)
    assert any("no enabled bot" in f.what for f in findings)


async def test_an_empty_or_sleeping_room_is_said(tmp_path: Path) -> None:
    findings = await check(settings(tmp_path, bots=[], chats=[], simulation={"active": False}), ENV)
    assert found(findings, "simulation.active").level is Level.WARNING
    for where in ("bots", "chats"):  # the daemon does not start with such a file
        assert found(findings, where).level is Level.ERROR
        assert "is the file whole?" in found(findings, where).cure
    silent = settings(
        tmp_path,
        bots=[{"name": "Ali", "username": "ali_bot", "enabled": False}],
        chats=[{"id": -1001, "enabled": False}],
    )
    for where in ("bots", "chats"):
        assert found(await check(silent, ENV), where).level is Level.WARNING


async def test_what_reading_found_odd_is_a_warning(tmp_path: Path) -> None:
    odd = Problem("a.toml", 3, "bots[0].persona.relations[0].bot", "there is no bot 'X'; the relation has no effect")
    finding = found(await check(settings(tmp_path), ENV, warnings=[odd]), "a.toml:3")
    assert finding.level is Level.WARNING
    assert finding.what.endswith("there is no bot 'X'; the relation has no effect")


async def test_a_bot_without_a_chat_is_said(tmp_path: Path) -> None:
    finding = found(await check(settings(tmp_path, chats=[]), ENV), "bot Ali")
    assert finding.what == "talks in no enabled chat"


async def test_places_that_cannot_be_used_are_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    findings = await check(
        settings(
            tmp_path,
            store={"data_dir": str(file / "data")},
            secrets={"dir": str(tmp_path / "no")},
            http={"listen": "0.0.0.0:1", "admin_token_env": "P"},
        ),
        ENV,
    )
    assert found(findings, "store.data_dir").what == f"{file} is no folder"
    assert "install -d -m 700" in found(findings, "secrets.dir").cure
    assert found(findings, "http.admin_token_env").level is Level.ERROR


async def test_a_data_dir_without_permission_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    finding = found(await check(settings(tmp_path), ENV), "store.data_dir")
    assert finding.level is Level.ERROR
    assert "chown" in finding.cure


async def test_a_password_in_the_file_is_warned_of_and_not_shown(tmp_path: Path) -> None:
    dsn = "postgresql://u:hunter2@h/d"
    findings = await check(settings(tmp_path, store={"postgres": dsn}), ENV)
    assert found(findings, "store.postgres").level is Level.WARNING
    assert "hunter2" not in str(findings)
    quiet = await check(settings(tmp_path, store={"postgres": dsn}), ENV | {"PIYASAD_STORE__POSTGRES": dsn})
    assert not [f for f in quiet if f.where == "store.postgres"]


async def test_a_provider_that_trains_on_what_it_is_sent_is_said(tmp_path: Path) -> None:
    providers = {"groq": {"trains_on_data": True}}
    findings = await check(settings(tmp_path, providers=providers, gateway={"route": ["groq"]}), ENV)
    assert "may train" in found(findings, "provider groq").what


async def test_keys_without_effect_are_listed_and_exist(tmp_path: Path) -> None:
    findings = await check(settings(tmp_path), ENV)
    for key in NOT_YET:
        section, _, name = key.partition(".")
        model = ProviderSettings if section == "providers" else type(getattr(Settings(), section))
        assert name == "*" or name in model.model_fields
        assert ("every key" if name == "*" else name) in found(findings, f"[{section}]").what


# --- The expected lines


async def test_the_forecast_counts_the_keys_that_can_be_used() -> None:
    shipped = load(default_config(), {}, overlay={"providers": {"groq": {"separate_quota": True}}})
    one = found(await check(shipped, {"GROQ_API_KEY": "k"}), "pace")
    two = found(await check(shipped, {"GROQ_API_KEY": "k\nl"}), "pace")
    none = found(await check(shipped, {}), "pace")
    assert one.level is Level.NOTE
    assert one.what == " ".join(forecast_words(shipped, {"groq": 1}))
    assert "groq allows 200,000 tokens (file) and 1,000 requests (file) a day" in one.what
    assert "400,000 tokens" in two.what
    assert none.what.endswith("No provider can be used: nothing is said.")


async def test_a_provider_that_lacks_something_is_left_out_and_said(tmp_path: Path) -> None:
    providers = {"g": {"kind": "gemini", "model": "gemini-2.5-flash", "api_key_env": "GEMINI_API_KEY"}}
    room = settings(tmp_path, providers=providers, gateway={"route": ["g"]})
    findings = await check(room, ENV, online=True)
    assert found(findings, "provider g").what == "is left out of the route: it has no base_url"
    assert found(findings, "gateway.route").level is Level.ERROR


# --- Online


async def test_online_finds_wrong_tokens_names_and_places(tmp_path: Path) -> None:
    answers: dict[str, Any] = {"getMe": {"id": 123456, "username": "other_bot"}, "getChatMember": {"status": "left"}}

    async def answer(request: web.Request) -> web.Response:
        if request.match_info["token"] != "123456:abc":
            return web.json_response({"ok": False, "description": "Unauthorized"}, status=401)
        return web.json_response({"ok": True, "result": answers[request.match_info["method"]]})

    app = web.Application()
    app.router.add_post("/bot{token}/{method}", answer)
    async with TestServer(app) as server:
        base = str(server.make_url("/")).rstrip("/")
        room = settings(tmp_path, telegram={"api_base": base})
        whats = [f.what for f in await check(room, ENV, online=True) if f.where == "bot Ali"]
        assert whats == ["the token is that of @other_bot, not @ali_bot", "is not in -1001234567890: left"]
        answers |= {"getMe": {"id": 123456, "username": "Ali_Bot"}, "getChatMember": {"status": "member"}}
        assert not [f for f in await check(room, ENV, online=True) if f.where == "bot Ali"]
        wrong = [f.what for f in await check(room, ENV | {"T": "123456:abd"}, online=True) if f.where == "bot Ali"]
        assert wrong == ["getMe: Unauthorized"]
    gone = str(await check(room, ENV, online=True))
    assert "Telegram cannot be reached" in gone
    assert "123456:abc" not in gone


@given(st.lists(st.floats(0, 40), max_size=90))
def test_no_minute_sees_more_than_twenty_new_tokens(durations: list[float]) -> None:
    spans: list[tuple[float, float]] = []

    async def run(clock: LoopClock) -> None:
        async def show(seconds: float) -> None:
            began = clock.mono()
            await asyncio.sleep(seconds)
            spans.append((began, clock.mono()))

        await paced([partial(show, seconds) for seconds in durations], clock, NEW_TOKENS_PER_MINUTE)

    run_virtual(run)
    assert len(spans) == len(durations)
    # wherever between beginning and end the server counted, one and the twentieth after it are over a minute apart
    for (_, end), (begin, _) in zip(spans, spans[NEW_TOKENS_PER_MINUTE:], strict=False):
        assert begin - end > 60


def test_the_first_twenty_and_few_bots_do_not_wait() -> None:
    async def run(clock: LoopClock) -> list[float]:
        async def show() -> float:
            return clock.mono()

        return await paced([show] * 45, clock, NEW_TOKENS_PER_MINUTE)

    shown = run_virtual(run)
    assert shown[19] - shown[0] < 0.1
    assert shown[20] - shown[19] == pytest.approx(61, abs=0.1)
    assert shown[40] - shown[0] == pytest.approx(122, abs=0.1)
    assert most_a_minute("https://api.telegram.org") == 20
    assert most_a_minute("http://127.0.0.1:8081") is None
    assert until_next([0.0] * 19, 0.0, 20) == 0
    assert until_next([0.0] * 20, 60.5, 20) == 0.5
    assert until_next([0.0] * 20, 99.0, 20) == 0


# --- Names of models

GEMINI = (
    *("gemini-2.5-flash", "gemini-2.5-flash-001", "gemini-2.5-flash-image", "gemini-2.5-flash-lite", "gemini-2.5-pro"),
    *("gemini-3.6-flash", "gemini-embedding-001", "gemma-3-27b-it", "imagen-4.0-generate-001"),
)


@pytest.mark.parametrize(
    ("model", "names", "expected"),
    [
        ("gemini-1.5-flash", GEMINI, ["gemini-2.5-flash", "gemini-3.6-flash", "gemini-2.5-flash-lite"]),
        ("gemini-1.5-pro", GEMINI, ["gemini-2.5-pro"]),
        ("gemini-1.5-flash", ("gemini-2.5-flash-image", "gemini-2.5-flash"), ["gemini-2.5-flash"]),
        ("gemini-2.0-flash-image", ("gemini-2.5-flash-image",), ["gemini-2.5-flash-image"]),
        ("gemini-2.5-flsh", GEMINI, ["gemini-2.5-flash", "gemini-3.6-flash", "gemini-2.5-pro"]),
        ("gpt-oss-120b", ("openai/gpt-oss-20b", "openai/gpt-oss-120b"), ["openai/gpt-oss-120b", "openai/gpt-oss-20b"]),
        ("llama-3.1-70b-versatile", ("llama-3.3-70b-versatile", "kimi-k2"), ["llama-3.3-70b-versatile"]),
        ("claude-3-5-haiku-latest", ("claude-opus-5", "claude-haiku-5-5"), ["claude-haiku-5-5"]),
        ("llama3.2", ("mistral:7b", "llama3.1:latest"), ["llama3.1:latest"]),
        ("nothing-like-it", GEMINI, []),
    ],
)
def test_the_nearest_models_are_named_first(model: str, names: tuple[str, ...], expected: list[str]) -> None:
    assert nearest(model, names) == expected


def test_a_model_is_listed_under_its_dated_name_too() -> None:
    names = [
        "llama3.1:latest",
        "claude-haiku-4-5-20261001",
        "gpt-4.1-2026-04-14",
        "gemini-2.0-flash-001",
        "gpt-4o-mini",
    ]
    for model in ("llama3.1", "claude-haiku-4-5", "gpt-4.1", "models/gemini-2.0-flash", "gpt-4o-mini"):
        assert is_listed(model, names), model
    for model in ("gpt-4o", "llama3", "claude-haiku-4", "gpt-4.1-mini"):
        assert not is_listed(model, names), model

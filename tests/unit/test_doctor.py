"""`check`: what it finds, how it sorts, what it expects of a day."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from piyasad.config import ProviderSettings, Settings
from piyasad.configload import ConfigError, Problem, default_config, load
from piyasad.doctor import NOT_YET, Finding, Level, check, forecast

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
    for where in ("bots", "chats", "simulation.active"):
        assert found(findings, where).level is Level.WARNING


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


def test_the_pace_of_one_bot_over_a_day(tmp_path: Path) -> None:
    open_limits = {
        "prime_hours": [],
        "prime_delay_seconds": 36,
        "mean_delay_seconds": 36,
        "jitter": [1.0, 1.0],
        "hourly_limit": {"min": 10**6, "max": 10**6},
        "chat_per_minute": 10**6,
    }
    talk = {"reaction_probability": 0.0, "continue_share": 0.8}
    all_day = forecast(settings(tmp_path, pace=open_limits, conversation=talk), ENV)
    assert (all_day.wanted, all_day.allowed, all_day.lines) == (2400, None, 2400)
    capped = forecast(settings(tmp_path, pace=open_limits | {"chat_per_minute": 1}, conversation=talk), ENV)
    assert capped.wanted == 24 * 60
    hourly = forecast(settings(tmp_path, pace=open_limits | {"hourly_limit": {"min": 6, "max": 12}}), ENV)
    assert hourly.wanted == 24 * 9


def test_only_open_hours_count(tmp_path: Path) -> None:
    bot = {"name": "Ali", "username": "ali_bot", "token_env": "T", "chats": [-1001234567890]}
    half = forecast(settings(tmp_path, bots=[bot | {"active_hours": ["09:00-21:00"]}]), ENV)
    quiet = forecast(settings(tmp_path, chats=[{"id": -1001234567890, "quiet_hours": ["21:00-09:00"]}]), ENV)
    assert half.wanted == quiet.wanted == 12 * 9


def test_daily_tokens_bound_the_lines() -> None:
    shipped = load(default_config(), {})
    expected = forecast(shipped, {"GROQ_API_KEY": "k"})
    assert expected.provider == "groq"
    assert expected.allowed is not None
    assert 110 <= expected.allowed < expected.wanted
    assert expected.lines == expected.allowed
    assert forecast(shipped, ENV).allowed is None  # openai has no known daily limit
    assert forecast(shipped, {}).lines == 0


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

"""The contract's types: defaults, ranges, overrides of a chat."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from piyasad.config import BotSettings, ChatSettings, Settings
from piyasad.config.section import format_range, parse_range, split_address
from piyasad.model import TimeRange

BOT = {"name": "Ali", "username": "ali_bot"}


def refusal(**sections: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(sections)
    return str(caught.value)


def test_everything_has_a_default() -> None:
    settings = Settings()
    assert settings.pace.mean_delay_seconds == 30
    assert settings.pace.prime_hours == (TimeRange(570, 720), TimeRange(840, 1080))
    assert settings.conversation.length.medium == 0.35
    assert settings.http.port == 9464
    assert settings.zone.key == "Europe/Istanbul"


minutes = st.integers(0, 1439)


@given(minutes, st.integers(0, 1440))
def test_a_time_range_is_read_back_as_it_was_written(start: int, end: int) -> None:
    text = format_range(TimeRange(start, end))
    if start == end:
        with pytest.raises(ValueError, match="starts where it ends"):
            parse_range(text)
    else:
        assert parse_range(text) == TimeRange(start, end)


@given(minutes, minutes.filter(bool), minutes)
def test_a_range_holds_its_minutes_also_over_midnight(start: int, length: int, minute: int) -> None:
    end = (start + length) % 1440 or 1440
    if start == end:
        return
    inside = minute in {(start + i) % 1440 for i in range(length)}
    assert parse_range(format_range(TimeRange(start, end))).contains(minute) == inside


@pytest.mark.parametrize("text", ["25:00-26:00", "09:00-24:01", "24:00-09:00", "09:60-10:00", "9-10", "", 5, "09:00"])
def test_what_is_no_time_range_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match=r"clock|expected a time range"):
        parse_range(text)


@pytest.mark.parametrize(
    ("text", "parts"), [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:0", ("::1", 0)), ("a.b:65535", ("a.b", 65535))]
)
def test_an_address_is_host_and_port(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts


@pytest.mark.parametrize("text", ["9464", ":80", "host", "host:", "host:65536", "::1:80", "a b:80", "http://a:80"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        split_address(text)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"pace": {"mean_delay_seconds": 0.001}}, "greater than or equal to 0.01"),
        ({"pace": {"mean_delay_seconds": float("nan")}}, "finite"),
        ({"pace": {"mean_delay_seconds": 200}}, "widen them"),
        ({"pace": {"min_delay_seconds": 300}}, "max_delay_seconds"),
        ({"pace": {"hourly_limit": {"min": 9, "max": 3}}}, "min .9. is greater than max .3."),
        ({"pace": {"typing_cps": {"min": 9, "max": 3}}}, "min .9. is greater than max .3."),
        ({"pace": {"jitter": [1.3, 0.7]}}, "swap"),
        ({"pace": {"chat_per_minute": True}}, "valid number"),
        ({"conversation": {"reply_probability": -0.1}}, "greater than or equal to 0"),
        ({"conversation": {"length": {"short": 1.0}}}, "add up to 1"),
        ({"conversation": {"order": "random"}}, "round_robin"),
        ({"privacy": {"people_as": "Üye"}}, "{n}"),
        ({"news": {"feeds": ["ftp://a.b/c"]}}, "http"),
        ({"news": {"feeds": ["https://u:p@a.b/c"]}}, "no user name"),
        ({"news": {"feeds": ["https://a.b:x/c"]}}, "http"),
        ({"gateway": {"route": []}}, "at least 1"),
        ({"telegram": {"poll_timeout_seconds": 51}}, "less than or equal to 50"),
        ({"http": {"listen": "0.0.0.0:9464"}}, "admin_token_env"),
        ({"http": {"listen": "example.org:9464"}}, "admin_token_env"),
        ({"chats": [{"id": 7}]}, "a group's id is negative"),
        ({"bots": [{"name": "A", "username": "a b"}]}, "no Telegram username"),
        ({"bots": [BOT | {"token_env": "12345:abc"}]}, "NAME of an environment variable"),
        ({"providers": {"x": {"quota_reset": "25:00 UTC"}}}, "rolling"),
        ({"providers": {"x": {"quota_reset": "00:00 Mars/City"}}}, "no IANA time zone"),
        ({"simulation": {"timezone": "../etc/passwd"}}, "no IANA time zone"),
    ],
)
def test_nonsense_is_refused_with_a_reason(section: dict[str, Any], words: str) -> None:
    assert re.search(words, refusal(**section))


def test_benches_may_open_every_limit() -> None:
    huge = 10**12
    settings = Settings.model_validate(
        {
            "pace": {
                "mean_delay_seconds": 0.01,
                "min_delay_seconds": 0.01,
                "hourly_limit": {"min": huge, "max": huge},
                "chat_per_minute": huge,
            },
            "telegram": {"per_bot_per_second": huge, "per_group_per_minute": huge},
            "providers": {"x": {"rpm": huge, "tpm": huge}},
        }
    )
    assert settings.pace.hourly_limit.max == huge


def test_a_dsn_never_shows() -> None:
    settings = Settings.model_validate(
        {"store": {"postgres": "postgresql://u:hunter2@h/db", "redis": "redis://:pw9@h"}}
    )
    assert "hunter2" not in repr(settings) + settings.model_dump_json()
    assert "pw9" not in repr(settings) + settings.model_dump_json()
    assert "h/db" in settings.model_dump_json()
    assert settings.store.postgres.endswith("hunter2@h/db")


def test_the_hash_tells_configurations_apart_and_ignores_passwords_and_spelling() -> None:
    one = Settings.model_validate({"store": {"postgres": "postgresql://u:a@h/db"}, "pace": {"mean_delay_seconds": 30}})
    two = Settings.model_validate(
        {"store": {"postgres": "postgresql://u:b@h/db"}, "pace": {"mean_delay_seconds": 30.0}}
    )
    other = Settings.model_validate({"pace": {"mean_delay_seconds": 31}})
    assert one.config_hash == two.config_hash != other.config_hash


def test_a_chat_overrides_conversation_and_pace() -> None:
    settings = Settings.model_validate(
        {
            "conversation": {"reply_probability": 0.5},
            "chats": [{"id": -1001, "reply_probability": 0.9, "chat_per_minute": 2, "typing": False}, {"id": -1002}],
        }
    )
    assert settings.conversation_for(-1001).reply_probability == 0.9
    assert settings.conversation_for(-1002).reply_probability == 0.5
    assert settings.conversation_for(-1009).reply_probability == 0.5
    assert settings.pace_for(-1001).chat_per_minute == 2
    assert not settings.pace_for(-1001).typing
    assert settings.pace_for(-1002) == settings.pace
    assert settings.chat(-1002) is settings.chats[1]
    assert settings.chat(-1003) is None


def test_a_chat_knows_every_key_of_conversation() -> None:
    assert set(type(Settings().conversation).model_fields) <= set(ChatSettings.model_fields)


def test_basic_groups_are_told_from_supergroups() -> None:
    assert ChatSettings(id=-4567).is_basic_group
    assert not ChatSettings(id=-1001234567890).is_basic_group


def test_style_may_be_one_string_and_typing_one_number() -> None:
    bot = BotSettings.model_validate(BOT | {"persona": {"style": "kısa"}, "pace": {"typing_cps": 30}})
    assert bot.persona.style.text == "kısa"
    assert bot.pace.typing_cps is not None
    assert (bot.pace.typing_cps.min, bot.pace.typing_cps.max) == (30, 30)
    table = BotSettings.model_validate(BOT | {"persona": {"style": {"register": "resmî"}}})
    assert table.persona.style.register == "resmî"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().pace.typing = False  # type: ignore[misc]


def test_a_preset_fills_what_the_file_leaves_out() -> None:
    settings = Settings.model_validate(
        {"providers": {"groq": {"rpm": 5, "api_key_file": "k"}, "mine": {"preset": "groq"}}}
    )
    groq, mine = settings.provider("groq"), settings.provider("mine")
    assert groq is not None
    assert mine is not None
    assert (groq.rpm, groq.tpd, groq.api_key_env) == (5, 200_000, ())
    assert mine.base_url == groq.base_url
    assert settings.provider("openai") is not None  # a preset needs no section
    assert settings.provider("nobody") is None


def test_loading_the_types_is_cheap() -> None:
    heavy = "{'aiogram', 'aiohttp', 'httpx'}"
    code = f"import sys, piyasad.config; print(len({{m.split('.')[0] for m in sys.modules}} & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_copies_are_equal() -> None:
    settings = Settings()
    assert copy.deepcopy(settings) == settings


@pytest.mark.parametrize(
    ("address", "word"),
    [
        ("redis+server://a:1", "single server"),
        ("http://a:1", "redis://"),
        ("redis://:ge#heim@a:1", "%23"),
        ("redis://a:99999/0", "65535"),
        ("redis://a:x", "65535"),
    ],
)
def test_a_redis_address_that_cannot_be_used_is_said_and_not_shown(address: str, word: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"store": {"redis": address}})
    assert word in caught.value.errors()[0]["msg"]
    assert "heim" not in caught.value.errors()[0]["msg"]


def test_redis_addresses_that_are_fine() -> None:
    for address in ("redis://127.0.0.1:6379/0", "rediss://:p%23w@a.example:6380", "unix:///run/redis.sock", ""):
        assert Settings.model_validate({"store": {"redis": address}}).store.redis == address

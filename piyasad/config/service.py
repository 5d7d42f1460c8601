"""The models of the sections about the world outside: gateway, providers, Telegram, store, HTTP, the process.

Part of the configuration's contract. Secrets are only named here (a variable, a file, a folder), never held.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, Field, PlainSerializer, model_validator

from piyasad.config.section import (
    Address,
    Delay,
    Flag,
    Money,
    Name,
    Positive,
    Section,
    Span,
    Variable,
    WebAddress,
    fault,
    split_address,
)


class Deadlines(Section):
    """How long a text may take, by class."""

    answer: Delay = Field(20, description="s; a person waits")
    reply: Delay = Field(45, description="s")
    topic: Delay = Field(120, description="s; continuing or opening a topic")
    housekeeping: Delay = Field(300, description="s")


class GatewaySettings(Section):
    """[gateway]: the one door to every LLM."""

    local_only: Flag = Field(False, description="providers beyond this machine are refused")
    route: tuple[Name, ...] = Field(("groq", "openai", "gemini"), min_length=1, description="providers, first to last")
    deadlines: Deadlines = Field(default_factory=Deadlines, description="s by class")
    timeout_seconds: Delay = Field(30, description="s; the longest call")
    pace_daily_quota: Flag = Field(True, description="stretch the talk so that a day's quota lasts the day")
    budget_usd_per_day: Money = Field(0, description="US dollars; 0: none")
    budget_usd_per_month: Money = Field(0, description="US dollars; 0: none")


class TelegramSettings(Section):
    """[telegram]: the Bot API and its limits per bot."""

    api_base: WebAddress = "https://api.telegram.org"
    mode: Literal["polling", "webhook"] = "polling"
    per_bot_per_second: Positive = Field(30, description="messages/s of a bot")
    per_chat_per_second: Positive = Field(1, description="messages/s of a bot in a chat")
    per_group_per_minute: Positive = Field(20, description="messages/min of a bot in a group")
    margin_ms: Annotated[float, Field(strict=True, ge=0, le=60_000)] = Field(
        50, description="ms added to every window for the way to the server"
    )
    poll_timeout_seconds: Annotated[float, Field(strict=True, ge=0.01, le=50)] = Field(
        30, description="s; a long poll waits at most 50"
    )
    idle_poll_seconds: Delay = Field(300, description="s between polls of bots that are no ear")
    webhook_base: WebAddress | None = None
    webhook_listen: Address | None = None
    webhook_secret_env: Variable | None = None


def _dsn(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if "server" in value.split("://")[0]:
            raise fault("a Redis server cannot run scripts over several keys; give the address of a single server")
        # The value is not quoted back: it may hold a password.
        if value and value.split("://")[0] not in schemes:
            raise fault(f"expected an address that starts with {' or '.join(s + '://' for s in schemes)}, or nothing")
        if value and not _is_address(value):
            raise fault("this is no address; in a password write : / ? # @ [ ] as %3A %2F %3F %23 %40 %5B %5D")
        if value and "redis" in schemes and not _has_good_port(value):
            raise fault("the port is no number from 1 to 65535; in a password write : / ? # @ as %3A %2F %3F %23 %40")
        return value

    return AfterValidator(check)


def _is_address(value: str) -> bool:
    try:
        urlsplit(value)
    except ValueError:
        return False
    return True


def _has_good_port(value: str) -> bool:
    try:
        return urlsplit(value).port != 0
    except ValueError:
        return False


def _without_password(value: str) -> str:
    if "://" not in value:
        return value
    parts = urlsplit(value)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


_hidden = PlainSerializer(_without_password, return_type=str, when_used="json")


class StoreSettings(Section):
    """[store]: where the truth is kept."""

    postgres: Annotated[str, _dsn("postgres", "postgresql"), _hidden] = Field(
        "", repr=False, description="DSN; empty: a private server of our own"
    )
    redis: Annotated[str, _dsn("redis", "rediss", "unix"), _hidden] = Field(
        "", repr=False, description="address; empty: none"
    )
    data_dir: Path = Field(Path("data"), description="folder for the private server and what is kept on disk")
    retention_days: Positive = Field(30, description="days of messages and turns kept")


class SecretsSettings(Section):
    """[secrets]: where tokens and keys lie."""

    dir: Path | None = Field(None, description="folder of 0600 files, one per bot username or provider")


class HttpSettings(Section):
    """[http]: metrics, health, dashboard."""

    listen: Address = Field("127.0.0.1:9464", description="HOST:PORT; shard i of 0 … n−1 listens on the port plus i")
    admin_token_env: Variable | None = Field(None, description="environment variable; compulsory beyond loopback")
    hosts: tuple[Name, ...] = Field((), description="more host names that may be asked for")

    @property
    def host(self) -> str:
        """The host part of `listen`."""
        return split_address(self.listen)[0]

    @property
    def port(self) -> int:
        """The port of `listen`; 0: any free one."""
        return split_address(self.listen)[1]

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if not self.is_loopback and self.admin_token_env is None:
            raise fault(
                f"{self.listen} can be reached from outside, so admin_token_env must name a variable with a password; "
                "or listen on 127.0.0.1",
                "listen",
            )
        return self


class OperatorSettings(Section):
    """[operator]: who runs this."""

    telegram_ids: tuple[Positive, ...] = Field((), description="the operators' Telegram ids")
    bot: Name | None = Field(None, description="the bot whose private chat carries the alerts")


class DaemonSettings(Section):
    """[daemon]: the process."""

    drain_seconds: Span = Field(20, description="s; the longest drain")
    start_timeout_seconds: Delay = Field(300, description="s; how long to wait for the database at start")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: colours on a terminal, else JSON")
    keep_prompts: Flag = Field(False, description="keep prompts in the turn trace")

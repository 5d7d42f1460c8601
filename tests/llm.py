"""The sandbox's LLM server over real HTTP, and requests to it, for the tests of providers and gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from piyasad.model import Class
from piyasad.providers.interface import Request
from piyasad.sandbox.llm import LlmConfig, LlmServer


@asynccontextmanager
async def serving(server: LlmServer) -> AsyncIterator[str]:
    """Run the server on a free port; gives the base URL of its OpenAI dialect."""
    runner = web.AppRunner(server.app(), shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/openai/v1"
    finally:
        await runner.cleanup()


def server(config: LlmConfig | None = None) -> LlmServer:
    """A server with the given behaviour."""
    return LlmServer(config or LlmConfig())


def ask(
    deadline: float,
    *,
    bot: int = 1,
    klass: Class = Class.REPLY,
    system: str = "Sen piyasayı izleyen bir yapay zekâ karakterisin. Kısa ve sakin yazarsın.",
    user: str = "Üye 1: Dolar için ne dersiniz?",
    max_tokens: int = 100,
) -> Request:
    """A request as a turn makes it; `deadline` is a reading of `mono()`."""
    return Request(bot, klass, system, user, max_tokens, 0.9, deadline)

"""The sandbox's LLM provider, commanded over HTTP: usage, limits, keys, faults, flaws, latency.

Mounted by `llm.py` under /sandbox; the same in process are methods of `LlmServer`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import web

from piyasad.sandbox.llm_faults import Fault
from piyasad.sandbox.llm_flaws import Flaws
from piyasad.sandbox.llm_limits import Limits


@dataclass(frozen=True, slots=True)
class LlmKey:
    """An API key with its limits."""

    key: str
    limits: Limits = field(default_factory=Limits)
    organization: str = "org_sandbox"


class Controlled(Protocol):
    """What `Control` asks of the server."""

    latency: tuple[float, float]
    flaws: Flaws

    def usage(self) -> dict[str, Any]: ...
    def keys(self) -> list[str]: ...
    def add_key(self, key: LlmKey) -> None: ...
    def remove_key(self, key: str) -> None: ...
    def set_limits(self, key: str, limits: Limits) -> None: ...
    def add_fault(self, fault: Fault) -> None: ...
    def clear_faults(self) -> None: ...


class Control:
    """The handlers."""

    def __init__(self, llm: Controlled) -> None:
        self._llm = llm

    async def get_usage(self, request: web.Request) -> web.Response:
        """Everything counted, as `LlmServer.usage`."""
        return web.json_response(self._llm.usage())

    async def post_limits(self, request: web.Request) -> web.Response:
        """{"key": …, "limits": {"rpm": …}}: new limits for a key, or for all."""
        body = await _json(request)
        try:
            limits = Limits.of(body.get("limits") or {})
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        for key in [body["key"]] if body.get("key") else self._llm.keys():
            self._llm.set_limits(key, limits)
        return web.json_response({"ok": True})

    async def post_keys(self, request: web.Request) -> web.Response:
        """{"key": …, "limits": …, "revoke": false}: take a key, or revoke it."""
        body = await _json(request)
        key = body.get("key")
        if not isinstance(key, str) or not key:
            return web.json_response({"error": "key: expected a text"}, status=400)
        if body.get("revoke"):
            self._llm.remove_key(key)
            return web.json_response({"ok": True})
        try:
            limits = Limits.of(body.get("limits") or {})
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self._llm.add_key(LlmKey(key, limits, str(body.get("organization") or "org_sandbox")))
        return web.json_response({"ok": True})

    async def post_faults(self, request: web.Request) -> web.Response:
        """A `Fault` as a JSON object: switch it on."""
        try:
            self._llm.add_fault(Fault(**await _json(request)))
        except (TypeError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def delete_faults(self, request: web.Request) -> web.Response:
        """All faults off."""
        self._llm.clear_faults()
        return web.json_response({"ok": True})

    async def post_flaws(self, request: web.Request) -> web.Response:
        """{"share": 0.3, "kinds": ["think", …]}: small-model mode; {}: a share of 0.3 of every kind."""
        try:
            self._llm.flaws = Flaws.of(await _json(request))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"ok": True})

    async def delete_flaws(self, request: web.Request) -> web.Response:
        """No more flaws; what was counted stays."""
        self._llm.flaws = Flaws(0.0)
        return web.json_response({"ok": True})

    async def post_latency(self, request: web.Request) -> web.Response:
        """{"seconds": s} or {"low": s, "high": s}."""
        body = await _json(request)
        try:
            low = float(body["seconds"]) if "seconds" in body else float(body["low"])
            high = float(body.get("high", low))
        except (KeyError, TypeError, ValueError):
            return web.json_response({"error": 'expected {"seconds": s} or {"low": s, "high": s}'}, status=400)
        self._llm.latency = (low, max(low, high))
        return web.json_response({"ok": True})


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text='{"error": "expected a JSON object"}', content_type="application/json")
    return body

"""LiteLLM's side of the comparison: `PYTHON -m bench.litellm_side JSON`, with the Python of an environment of its own.

Never imported by anything else, and LiteLLM is no dependency of this project: `bench/litellm.lock` belongs to the bench
alone. Settings are those of its documentation ("Router - Load Balancing", October 2026).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
import warnings
from typing import Any

from bench.load import MODEL, Ask, Text, closed, row, say

DEADLINE = 60.0  # s; as long as our side's texts may wait
AGAIN = 1.0  # s; after LiteLLM gave a text up, for its Router does not wait until a limit has room again
RETRIES = 3

# What its documentation offers to keep within limits; of all four `versus.py` takes the best two.
SETTINGS: dict[str, dict[str, Any]] = {
    "shuffle": {"routing_strategy": "simple-shuffle"},
    "usage": {"routing_strategy": "usage-based-routing-v2"},
    "enforce": {
        "routing_strategy": "simple-shuffle",
        "optional_pre_call_checks": ["enforce_model_rate_limits"],
    },
    "usage+enforce": {
        "routing_strategy": "usage-based-routing-v2",
        "optional_pre_call_checks": ["enforce_model_rate_limits"],
    },
}


def make_router(litellm: Any, given: dict[str, Any]) -> Any:
    """Its Router with each key as a deployment of one model group, with the limits it is told."""
    deployments = [
        {
            "model_name": "chat",
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": given["url"],
                "api_key": endpoint["key"],
                **endpoint["limits"],
            },
        }
        for endpoint in given["endpoints"].values()
    ]
    return litellm.Router(
        model_list=deployments,
        num_retries=RETRIES,
        enable_pre_call_checks=given["limited"],
        timeout=DEADLINE,
        **SETTINGS[given["setting"]],
    )


def through_router(litellm: Any, router: Any) -> Ask:
    """A text through the Router; as the caller of a library does, again after a pause when a limit was met."""
    all_cooling: type[Exception] = importlib.import_module("litellm.types.router").RouterRateLimitError
    limited = (litellm.RateLimitError, litellm.Timeout, all_cooling)

    async def ask(text: Text) -> bool:
        messages = [{"role": "system", "content": text.system}, {"role": "user", "content": text.user}]
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                answer = await router.acompletion(
                    model="chat", messages=messages, max_tokens=text.max_tokens, temperature=0.9
                )
            except limited:
                if time.monotonic() + AGAIN >= deadline:
                    return False
                await asyncio.sleep(AGAIN)
                continue
            return bool(answer.choices[0].message.content and answer.usage.prompt_tokens)

    return ask


async def main(given: dict[str, Any]) -> dict[str, float]:
    """Carry the load, report."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list when it is imported
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    router = make_router(litellm, given)
    load = {name: given[name] for name in ("workers", "warm", "seconds", "spread")}
    return row(await closed(through_router(litellm, router), **load))


if __name__ == "__main__":
    warnings.simplefilter("ignore", RuntimeWarning)  # calls cancelled at the end leave coroutines of its unawaited
    uvloop = importlib.import_module("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        say(json.dumps(runner.run(main(json.loads(sys.argv[1])))))

"""What Prometheus reads: the text format, version 0.0.4, written a few milliseconds at a time.

`ops/http.py` calls `render`. The libraries' own functions write a whole registry in one go: 9,000 series hold the loop
for 184 ms (and prometheus-async knows the global registry only). Here the loop turns in between. The `_created` series
that the client library adds are left out: nobody reads them, and they double the counters.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import Final

from piyasad.metrics import AnyFamily, Family, Metrics, Single

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SLICE_SECONDS: Final = 0.004
"""The contract allows 20 ms; others wait meanwhile."""


async def render(metrics: Metrics) -> bytes:
    """The whole page. Values are those of the moment each is written, as with any scrape."""
    parts: list[str] = []
    until = time.perf_counter() + SLICE_SECONDS
    for metric in metrics.all():
        for part in _lines(metric):
            parts.append(part)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + SLICE_SECONDS
    return "".join(parts).encode()


def _lines(metric: Single | AnyFamily) -> Iterator[str]:
    """The lines of one metric: its head, then one piece of text for each child."""
    (described,) = (metric.parent if isinstance(metric, Family) else metric).describe()
    name = described.name + "_total" if described.type == "counter" else described.name
    yield f"# HELP {name} {_escaped(described.documentation)}\n# TYPE {name} {described.type}\n"
    if isinstance(metric, Family):
        for values, child in metric.children():
            yield _child(child, dict(zip(metric.names, values, strict=True)))
    else:
        yield _child(metric, {})


def _child(child: Single, labels: dict[str, str]) -> str:
    (collected,) = child.collect()
    return "".join(
        f"{sample.name}{_braced(labels | sample.labels)} {_number(sample.value)}\n"
        for sample in collected.samples
        if not sample.name.endswith("_created")
    )


def _braced(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value, quote=True)}"' for key, value in labels.items()) + "}"


def _escaped(text: str, *, quote: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(float(value))

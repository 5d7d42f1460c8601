"""The kept price list: what genai-prices says of the presets' models, written to tests/data/prices.json (`make prices`).

`tests/unit/test_presets.py` compares the presets with it. Where a price varies with the hour, the highest is kept; where
it changed, the newest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[1] / "data" / "prices.json"
NAMES = {"gemini": "google"}  # a preset's name there, where it is another
FIELDS = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}


def current(wanted: Mapping[str, Iterable[str]]) -> dict[str, dict[str, dict[str, float]]]:
    """By preset and model: US dollars per million tokens, as the installed list has them; models that it lacks are left out."""
    from genai_prices.data import providers

    known = {provider.id: {model.id: model for model in provider.models} for provider in providers}
    return {
        name: {model: _price(rows[model].prices) for model in models if model in rows}
        for name, models in wanted.items()
        for rows in (known.get(NAMES.get(name, name), {}),)
    }


def _price(prices: Any) -> dict[str, float]:
    """The newest price; of prices by the hour, the highest."""
    today, newest, begun, hourly = datetime.now(UTC).date(), None, date.min, []
    for row in prices if isinstance(prices, list) else [prices]:
        constraint, price = getattr(row, "constraint", None), getattr(row, "prices", row)
        start = getattr(constraint, "start_date", date.min)
        if hasattr(constraint, "start_time"):
            hourly.append(price)
        elif begun <= start <= today:
            newest, begun = price, start
    found: dict[str, float] = {}
    for key, field in FIELDS.items():
        values = [getattr(price, field, None) for price in (newest, *hourly)]
        amount = max((float(getattr(value, "base", value)) for value in values if value is not None), default=0.0)
        if amount:
            found[key] = amount
    return found


def main() -> None:
    """Write the list anew."""
    from importlib.metadata import version

    from piyasad.config import PRESETS

    wanted = {
        name: [model for model in (*preset.asked, preset.fallback_model) if model]
        for name, preset in PRESETS.items()
        if not preset.is_near
    }
    models = current(wanted)
    rows = {
        "as_of": datetime.now(UTC).date().isoformat(),
        "source": f"genai-prices {version('genai-prices')}",
        "models": models,
    }
    FILE.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.write(f"{FILE}: {sum(map(len, models.values()))} models\n")


if __name__ == "__main__":
    main()

"""The operator's budgets: US dollars a day and a month, for all providers together, as meters that every quota shares.

`endpoint.py` hands them to the quotas, so that money is reserved and given back with everything else. Pure but for the
clock. Days and months are those of the configuration's time zone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from piyasad.clock import DAY, Clock
from piyasad.gateway.quota.meter import RESERVE, Ahead, Daily, Meter, seconds
from piyasad.model import Usage

MICROS: Final = 1_000_000  # money is counted in millionths of a dollar, as whole numbers
LONGEST_MONTH: Final = 31.1 * DAY  # with an hour more for a change of clocks
_HOUR: Final = 3_600.0

DAY_NAME: Final = "usd_day"
MONTH_NAME: Final = "usd_month"


class Budget:
    """Both budgets. 0 dollars: no such budget."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._zone: ZoneInfo | None = None
        self._share = 1.0
        self._dollars = (0.0, 0.0)
        self.meters: list[tuple[str, Daily]] = []

    def change(self, per_day: float, per_month: float, zone: ZoneInfo, *, share: float = 1.0) -> None:
        """Take other budgets; what was spent keeps counting, but for a time zone that changed."""
        known = dict(self.meters) if zone == self._zone else {}
        self._zone, self._share, self._dollars = zone, share, (per_day, per_month)
        self.meters = []
        for name, dollars in ((DAY_NAME, per_day), (MONTH_NAME, per_month)):
            if dollars > 0:
                meter = known.get(name) or self._meter(name, zone)
                meter.limit = math.floor(dollars * MICROS * share)
                self.meters.append((name, meter))

    def forget(self, share: float) -> None:
        """Begin the counts anew with another share; `restore` is to follow."""
        zone, self._zone = self._zone, None
        if zone is not None:
            self.change(*self._dollars, zone, share=share)

    def shared(self) -> list[tuple[str, Meter]]:
        """The meters, as the quotas take them."""
        return list(self.meters)

    def sustainable(self, ahead: Ahead = seconds) -> float:
        """Dollars a unit of `ahead` that last on both budgets; inf without any."""
        now = self._clock.mono()
        return min((meter.sustainable(now, ahead) / MICROS for _, meter in self.meters), default=math.inf)

    def restore(self, rows: Iterable[Usage]) -> None:
        """Count what earlier processes spent. Rows are by the hour: each counts from its hour's end."""
        for _, meter, _, amount in self.spent(rows, self._share):
            meter.settle(amount, self._clock.mono())

    def spent(self, rows: Iterable[Usage], share: float = 1.0) -> Iterator[tuple[str, Meter, float, int]]:
        """What of earlier usage counts: budget, its meter, age in seconds, millionths of a dollar."""
        now, wall = self._clock.mono(), self._clock.wall()
        for row in rows:
            amount, age = math.ceil(row.cost * MICROS * share), max(0.0, wall - (row.at + _HOUR))
            for name, meter in self.meters:
                if amount and meter.spent_since(age, now):
                    yield name, meter, age, amount

    def _meter(self, name: str, zone: ZoneInfo) -> Daily:
        wall, now = self._clock.wall, self._clock.mono()
        if name == DAY_NAME:
            return Daily(0, wall, lambda at: next_midnight(at, zone), now, reserve=RESERVE)
        return Daily(0, wall, lambda at: next_month(at, zone), now, longest=LONGEST_MONTH, reserve=0.0)


def next_midnight(wall: float, zone: ZoneInfo) -> float:
    """The Unix time of the first midnight after `wall`."""
    here = datetime.fromtimestamp(wall, zone)
    return (here.replace(hour=0, minute=0, second=0, microsecond=0, fold=0) + timedelta(days=1)).timestamp()


def next_month(wall: float, zone: ZoneInfo) -> float:
    """The Unix time at which the month after that of `wall` begins."""
    here = datetime.fromtimestamp(wall, zone)
    year, month = (here.year + 1, 1) if here.month == 12 else (here.year, here.month + 1)
    return datetime(year, month, 1, tzinfo=zone).timestamp()

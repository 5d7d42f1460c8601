"""The judges: each reads the world's record and says which invariant of the design was broken, and how.

They share no code with what they judge. `Court.look` is called after every step, `Court.end` when everything was healed
and has come to rest. What they say begins with the invariant's number (design, section 6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from piyasad.simulation.fuzz.record import Asked, Books, Line, Record, Row
from piyasad.simulation.telegram import Arrival

OK: Final = 200
UNWRITTEN: Final = frozenset({"notice", "fixed", "polite"})
"""Kinds of rows whose text no model wrote."""

STALE_SECONDS: Final = 90.0
SLACK_SECONDS: Final = 1.0
"""A poll may end so much after its lease: the cancellation has to be run."""

LEAVES_SECONDS: Final = 120.0
"""A turn that was under way when its group was taken out of the file may end so much later."""

MOST_ANSWERS, SHORT_SECONDS = 6, 600.0
"""A member gets so many answers in so long (behaviour 2.1)."""


class Judge(Protocol):
    """One rule."""

    def look(self, record: Record, now: float) -> Iterator[str]:
        """What is wrong with what is new."""
        ...


@dataclass(slots=True, eq=False)
class Claimed:
    """A claim that the store granted; `settled` is when its settlement was first asked for."""

    id: int
    daemon: str
    draft: Any
    at: float
    settled: float | None = None
    state: str = ""
    arrival: Arrival | None = None


class History:
    """Who held which bot when, by what the store did. Others ask; it judges claims itself."""

    def __init__(self) -> None:
        self._seen = 0
        self._until: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._owner: defaultdict[int, list[tuple[float, str, int]]] = defaultdict(list)
        self.claims: dict[int, Claimed] = {}
        self.waiting: defaultdict[tuple[Any, ...], list[Claimed]] = defaultdict(list)
        self.received: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
        self.answers: defaultdict[Any, list[float]] = defaultdict(list)
        self.notices: dict[int, float] = {}

    def owner(self, bot: int, at: float) -> tuple[str, int]:
        """The daemon that held a bot then, and its fence."""
        rows = self._owner[bot]
        place = bisect_right(rows, at, key=lambda row: row[0])
        return rows[place - 1][1:] if place else ("", 0)

    def until(self, daemon: str, at: float) -> float:
        """When the daemon's lease would end, as it stood then."""
        rows = self._until[daemon]
        place = bisect_right(rows, at, key=lambda row: row[0])
        return rows[place - 1][1] if place else float("-inf")

    def look(self, record: Record, now: float) -> Iterator[str]:
        for deed in record.done[self._seen :]:
            self._seen += 1
            at = deed.done or 0.0
            match deed.name:
                case "enter":
                    self._until[deed.daemon].append((at, at + deed.args[1]))
                case "beat" if deed.result:
                    self._until[deed.daemon].append((at, at + deed.args[1]))
                case "leave":
                    self._until[deed.daemon].append((at, at))
                case "take":
                    for lease in deed.result:
                        self._owner[lease.bot_id].append((at, deed.daemon, lease.fence))
                case "claim" if deed.result is not None:
                    yield from self._claim(deed.daemon, deed.result, at)
                case "settle":
                    self._settle(deed.args[0].id, str(deed.args[1]), deed.asked, at)
                case "receive":
                    for said, stored in zip(deed.args[0], deed.result, strict=True):
                        if stored is not None:
                            self.received[said.chat_id, said.telegram_id] = at, tuple(said.to)
                case "take_stimulus" if deed.kwargs.get("counts") and str(deed.result) == "answer":
                    self.answers[deed.args[0]].append(at)

    def _claim(self, daemon: str, claim: Any, at: float) -> Iterator[str]:
        draft = claim.draft
        made = self.claims[claim.id] = Claimed(claim.id, daemon, draft, at)
        self.waiting[daemon, draft.bot_id, draft.chat_id, draft.text, draft.reply_to].append(made)
        if self.owner(draft.bot_id, at) != (daemon, draft.fence):
            holder, fence = self.owner(draft.bot_id, at)
            yield f"3: {daemon} claimed a row for bot {draft.bot_id} under fence {draft.fence}; {holder} had {fence}"

    def _settle(self, row: int, state: str, asked: float, at: float) -> None:
        claim = self.claims.get(row)
        if claim is None:
            return
        claim.state = state
        claim.settled = asked if claim.settled is None else min(claim.settled, asked)
        if claim.draft.kind == "notice" and state == "sent":
            self.notices.setdefault(claim.draft.chat_id, at)


class Deliveries:
    """1, 2, 3, 5, 6, 11, 12: every message that was delivered, held against the store, the guards and the notice."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._seen = 0
        self._looked = 0
        self._looks: dict[tuple[str, str, str], dict[str, bool]] = {}
        self._guards: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._people: dict[tuple[int, int | None], int] = {}
        self._answered: Counter[Any] = Counter()
        self._replied: Counter[tuple[int, int, int]] = Counter()

    def look(self, record: Record, now: float) -> Iterator[str]:
        for look in record.looks[self._looked :]:
            self._looked += 1
            self._guards[look.daemon][look.guard] = None
            self._looks.setdefault((look.daemon, look.persona, look.text), {})[look.guard] = not look.objected
        self._people |= {(line.chat, line.message_id): line.who for line in record.lines[len(self._people) :]}
        for arrival in record.arrivals[self._seen :]:
            self._seen += 1
            if arrival.status == OK and arrival.chat < 0:
                yield from self._judge(record, arrival)

    def _judge(self, record: Record, arrival: Arrival) -> Iterator[str]:
        told = f"{arrival.client}'s {arrival.bot} in {arrival.chat}: {arrival.text[:60]!r}"
        if arrival.chat not in record.listed:
            yield f"5: posted to a group that nobody lists: {told}"
        left_at = record.lives[arrival.client].listed.get(arrival.chat)
        if left_at is not None and arrival.left > left_at + LEAVES_SECONDS:
            yield f"5: posted to a group that its file does not list any more: {told}"
        for words in record.forbidden:
            if words in arrival.text:
                yield f"5: posted what no guard may pass ({words!r}): {told}"
        yield from self._rights(arrival, told)
        if arrival.text != record.notice:
            known = self._history.notices.get(arrival.chat)
            if known is None or known > arrival.left:
                yield f"12: spoke before the notice was known to be posted: {told}"
        if record.mark not in arrival.name:
            yield f"12: spoke as {arrival.name!r}, without the mark: {told}"
        claim = self._claim(arrival)
        if claim is None:
            yield f"1, 2: delivered without a row of its own, or a second time: {told}"
            return
        claim.arrival = arrival
        if str(claim.draft.kind) not in UNWRITTEN:
            yield from self._guarded(claim, told)
        yield from self._once(claim, arrival, told)

    def _rights(self, arrival: Arrival, told: str) -> Iterator[str]:
        history = self._history
        holder, _ = history.owner(arrival.bot, arrival.left)
        if holder != arrival.client:
            yield f"3: sent for a bot that {holder or 'nobody'} held: {told}"
        elif arrival.left > history.until(arrival.client, arrival.left):
            late = arrival.left - history.until(arrival.client, arrival.left)
            yield f"3: sent {late:.1f} s after its lease had ended: {told}"

    def _claim(self, arrival: Arrival) -> Claimed | None:
        """The row that this message is: each row is delivered once, between its claim and its settlement."""
        key = arrival.client, arrival.bot, arrival.chat, arrival.text, arrival.reply_to
        for claim in self._history.waiting[key]:
            if claim.arrival is None and claim.at <= arrival.left <= (claim.settled or arrival.left):
                return claim
        return None

    def _guarded(self, claim: Claimed, told: str) -> Iterator[str]:
        seen = self._looks.get((claim.daemon, claim.draft.author, claim.draft.text))
        if seen is None:
            yield f"6: no guard saw this text: {told}"
            return
        for guard in self._guards[claim.daemon]:
            if guard not in seen:
                yield f"6: {guard} did not see this text: {told}"
            elif not seen[guard]:
                yield f"5: {guard} had refused this text: {told}"

    def _once(self, claim: Claimed, arrival: Arrival, told: str) -> Iterator[str]:
        key = claim.draft.stimulus
        if key is not None:
            self._answered[key] += 1
            if self._answered[key] > 1:
                yield f"11: answered {self._answered[key]} times: {told}"
        if (arrival.chat, arrival.reply_to) in self._people:
            place = arrival.chat, arrival.reply_to or 0, arrival.bot
            self._replied[place] += 1
            if self._replied[place] > 1:
                yield f"11: replied to a member's message {self._replied[place]} times: {told}"


class Polls:
    """3: nobody polls for a bot that is another's, or after its lease."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._seen = 0
        self._open: list[Any] = []

    def look(self, record: Record, now: float) -> Iterator[str]:
        for poll in record.polls[self._seen :]:
            self._seen += 1
            holder, _ = self._history.owner(poll.bot, poll.left)
            until = self._history.until(poll.client, poll.left)
            if holder != poll.client:
                yield f"3: {poll.client} polled for bot {poll.bot}, which {holder or 'nobody'} held"
            elif poll.left > until:
                yield f"3: {poll.client} polled for bot {poll.bot} {poll.left - until:.1f} s after its lease had ended"
            self._open.append(poll)
        still = []
        for poll in self._open:
            ends = [at for at in (poll.over, poll.ended) if at is not None]
            end = min(ends, default=now)
            until = self._history.until(poll.client, end)
            if end > until + SLACK_SECONDS and not record.lives[poll.client].rested(poll.left, end):
                yield f"3: {poll.client}'s poll for bot {poll.bot} lasted {end - until:.1f} s beyond its lease"
            elif not ends:
                still.append(poll)
        self._open = still


class Limits:
    """4: no limit of Telegram's or a provider's is met by our own doing."""

    def __init__(self) -> None:
        self._violations = 0
        self._overruns = 0

    def look(self, record: Record, now: float) -> Iterator[str]:
        for row in record.violations[self._violations :]:
            self._violations += 1
            yield f"4: Telegram's {row['limit']} of bot {row['bot']} in {row['chat']}, {row['wait']} s too early"
        # Open: what a killed daemon had under way, and used of a minute's limit, is not known to its successor.
        killed = any(life.how == "killed" for life in record.lives.values())
        for overrun in record.overruns[self._overruns :]:
            self._overruns += 1
            if not killed:
                yield f"4: {overrun.provider}'s {overrun.limit} was overrun"


class Ends:
    """8: no daemon ends but when it is told to."""

    def __init__(self) -> None:
        self._told: dict[str, None] = {}

    def look(self, record: Record, now: float) -> Iterator[str]:
        for life in record.lives.values():
            if life.ended is None or life.asked or life.daemon in self._told:
                continue
            self._told[life.daemon] = None
            if life.ready is not None or life.how != "ended with 1":  # 1 at the start: the store was away
                yield f"8: {life.daemon} ended by itself: {life.how}"


class Secrets:
    """9: no token, no key, no member's name or words in the log."""

    def __init__(self) -> None:
        self._seen = 0

    def look(self, record: Record, now: float) -> Iterator[str]:
        if self._seen == len(record.log):
            return
        text = "\n".join(record.log[self._seen :])
        self._seen = len(record.log)
        for secret in record.secrets:
            if secret in text:
                yield f"9: a secret is in the log: {_around(text, secret)}"
        for name in dict.fromkeys(line.name for line in record.lines):
            if name in text:
                yield f"9: a member's name is in the log: {_around(text, name)}"
        for line in record.lines:
            if line.mark in text:
                yield f"9: a member's words are in the log: {_around(text, line.mark)}"


class Budget:
    """11: a member gets six answers in ten minutes, however fast the questions come."""

    def __init__(self, history: History) -> None:
        self._history = history

    def look(self, record: Record, now: float) -> Iterator[str]:
        said = {(line.chat, line.message_id): line.who for line in record.lines}
        taken: defaultdict[int, list[float]] = defaultdict(list)
        for claim in self._history.claims.values():
            key = claim.draft.stimulus
            if claim.arrival is not None and key is not None and self._history.answers.get(key):
                who = said.get((key.chat_id, key.telegram_id))
                if who is not None and str(claim.draft.kind) == "answer":
                    taken[who].append(max(at for at in self._history.answers[key] if at <= claim.at))
        for who, times in taken.items():
            times.sort()
            for first, last in zip(times, times[MOST_ANSWERS:], strict=False):
                if last - first < SHORT_SECONDS:
                    yield f"11: member {who} got {MOST_ANSWERS + 1} answers in {last - first:.0f} s"
                    break


class Court:
    """All judges of a seed."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.history = History()
        self._judges: Sequence[Judge] = (
            self.history,
            Deliveries(self.history),
            Polls(self.history),
            Limits(),
            Ends(),
            Secrets(),
        )
        self._faults = 0

    def look(self, now: float) -> list[str]:
        """What became wrong since the last look."""
        found = [words for judge in self._judges for words in judge.look(self.record, now)]
        found += self.record.faults[self._faults :]
        self._faults = len(self.record.faults)
        return found

    async def end(self, books: Books, now: float) -> list[str]:
        """What is wrong when everything has come to rest."""
        found = self.look(now)
        found += Budget(self.history).look(self.record, now)
        found += rows_ended(await books.rows(), self.history.claims)
        asked = await books.stimuli()
        found += stimuli_ended(asked)
        found += lines_kept(self.record.lines, await books.received(), asked, self.history.received)
        return found


def rows_ended(rows: Iterable[Row], claims: dict[int, Claimed]) -> Iterator[str]:
    """2: every claim ends, and as what became of it."""
    for row in rows:
        claim = claims.get(row.id)
        arrived = claim is not None and claim.arrival is not None
        if row.state not in {"sent", "failed", "uncertain"}:
            yield f"2: row {row.id} is still {row.state}: {row.text[:60]!r}"
        elif row.state == "failed" and arrived:
            yield f"2: row {row.id} was delivered and is failed ({row.reason}): {row.text[:60]!r}"
        elif row.state == "sent" and not arrived:
            yield f"2: row {row.id} is sent and was never delivered: {row.text[:60]!r}"


def stimuli_ended(asked: Iterable[Asked]) -> Iterator[str]:
    """11: what was stored is answered, merged, or dropped for a reason."""
    for each in asked:
        if each.state not in {"answered", "merged", "dropped"}:
            yield f"11: the question {each.message_id} to {each.bot} is still {each.state}"
        elif each.state == "dropped" and not each.reason:
            yield f"11: the question {each.message_id} to {each.bot} was dropped without a reason"


def lines_kept(
    lines: Iterable[Line],
    received: Iterable[tuple[int, int]],
    asked: Iterable[Asked],
    when: dict[tuple[int, int], tuple[float, tuple[int, ...]]],
) -> Iterator[str]:
    """11: what a member said is stored, and what names a bot waits for that bot, unless it came too late."""
    kept = set(received)
    stimuli = {(each.chat, each.message_id, each.bot) for each in asked}
    for line in lines:
        place = line.chat, line.message_id
        if place not in kept:
            yield f"11: a member's line {line.message_id} in {line.chat} was never stored"
        elif (
            line.to and (*place, line.to) not in stimuli and when.get(place, (line.at, ()))[0] - line.at < STALE_SECONDS
        ):
            yield f"11: the question {line.message_id} to {line.to} was stored and waits for nobody"


def _around(text: str, words: str) -> str:
    at = text.index(words)
    begin = text.rfind("\n", 0, at) + 1
    return text[begin : begin + 300]

"""The forecast: how much the configured bots want to say in a day, what the daily limits allow, what comes of it.

Pure arithmetic on the configuration. `check.py` shows it; whoever has settings may ask `forecast_words`. It knows no
key and no clock, so it knows the limits of the file and the presets, not what a provider said since.

The named numbers were measured on virtual days of the shipped configuration (`simulation/`: the daemon's own code from
scheduler to gateway, the sandbox's writer, seeds 1 to 5, November 2026); `tests/unit/test_forecast.py` holds the
forecast against such a day. Tokens are characters of the prompts of `personas/prompt.py` at `CHARS_PER_TOKEN`. Not in
it: answers to people, what a model thinks before it writes, and what a prompt cache saves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from piyasad.behaviour.delays import expected_delay
from piyasad.behaviour.intent import TOPIC_PART
from piyasad.bots.compose import AIM_TOKENS, MOST_TOKENS, SLIM_HISTORY, SLIM_STRETCH
from piyasad.config.persona import BotSettings
from piyasad.config.presets import day_limit
from piyasad.config.providers import Price, ProviderSettings
from piyasad.config.settings import ChatSettings, Settings
from piyasad.config.talk import ConversationSettings
from piyasad.gateway.estimate import Estimator
from piyasad.gateway.quota.meter import RESERVE_ROLLING
from piyasad.model import TimeRange
from piyasad.personas.profile import Persona
from piyasad.personas.prompt import CHARS_PER_TOKEN as PROMPT_CHARS_PER_TOKEN
from piyasad.personas.prompt import LEAST_LINES, system_text

CHARS_PER_TOKEN: Final = (
    3.3  # Turkish on the usual tokenizers: about 0.3 tokens a character (see providers/estimate.py)
)
TASK_CHARS: Final = 380  # of a prompt besides the system text, the room's lines and the past: measured 359 to 380
PAST_CHARS: Final = 140  # what the bot said on the topic before: its label and a line
ROW_CHARS: Final = 110  # one of the room's lines in a prompt, with its author: measured 106 to 111
LINE_TOKENS: Final = 29  # a line as it is written: measured 95 characters
CALLS_A_LINE: Final = 1.1  # with rewrites and dropped lines: measured 1.08 to 1.13 with a model that writes no flaws

HOURLY_SAID: Final = 0.86  # of a bot's hourly limit is said when it is what holds the bot back: measured 0.78 to 0.89
CHAT_SAID: Final = 0.45  # of a chat's pace, likewise: measured 0.43 to 0.50 at 0.2 to 2 a minute, 0.35 at 6

DAYS_A_MONTH: Final = 30
_TOKENS, _REQUESTS = "tpd", "rpd"
_SPANS: Final = (  # limits over other times than a day: key, hours, unit, source
    ("rph", 1, "requests", "of an hour"),
    ("tph", 1, "tokens", "of an hour"),
    ("tokens_per_month", 24 * DAYS_A_MONTH, "tokens", "of a month"),
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one provider of the route allows in a day; `lines` is inf where no daily limit is known.

    `limits` are (amount, unit, "file", "preset" or from what it is assumed); `cost` is US dollars a line.
    """

    provider: str
    limits: tuple[tuple[int, str, str], ...]
    lines: float
    cost: float

    def words(self) -> str:
        """In a sentence."""
        listed = " and ".join(f"{amount:,} {unit} ({source})" for amount, unit, source in self.limits)
        return f"{self.provider} allows {listed} a day: {_about(self.lines)} lines."


@dataclass(frozen=True, slots=True)
class Forecast:
    """A day: what is wanted without daily limits, what each provider allows, and what is to be expected.

    `budget` is what may be spent in a day (inf: anything), `lines` and `cost` are the day's to be expected, in US
    dollars at full price.
    """

    bots: int
    wanted: float
    calls: float
    tokens: float
    allowances: tuple[Allowance, ...]
    budget: float
    paced: bool
    lines: float
    cost: float

    @property
    def stretch(self) -> float:
        """How many times fewer lines are said than wanted; 1 when nothing holds them back, inf when none can be."""
        if self.wanted <= self.lines:
            return 1.0
        return self.wanted / self.lines if self.lines else math.inf

    def words(self) -> list[str]:
        """In plain sentences: the wish, each provider, the outcome."""
        if not self.wanted:
            why = "no enabled bot has open hours in an enabled chat, order is manual, or simulation.active is false"
            return [f"Nobody speaks unprompted: {why}."]
        bots = f"{self.bots} bots want" if self.bots > 1 else "1 bot wants"
        said = [f"{bots} {_about(self.wanted)} lines a day: {_round(self.calls)} calls, {_round(self.tokens)} tokens."]
        said += [allowance.words() for allowance in self.allowances if allowance.limits]
        free = [allowance.provider for allowance in self.allowances if not allowance.limits]
        if free:
            said.append(f"No daily limit holds {', '.join(free)}.")
        if self.budget < math.inf:
            said.append(f"The budget is ${self.budget:.2f} a day.")
        return [*said, self._outcome()]

    def _outcome(self) -> str:
        day = f"{_about(self.lines)} lines a day"
        money = f", for about ${self.cost:.2f}" if self.cost >= 0.005 else ", for less than a cent" if self.cost else ""
        if not self.allowances:
            return "No provider can be used: nothing is said."
        if self.lines < 1:
            return "That is less than one line: nothing is said."
        if self.stretch == 1:
            return f"The talk is not stretched: {day}{money}."
        if self.paced:
            return f"The talk is stretched {self.stretch:.1f} times: {day}{money}."
        return f"After {day}{money} the quota is used up and nothing is said till it renews (pace_daily_quota = false)."


def forecast_words(settings: Settings, keys: Mapping[str, int] | None = None) -> list[str]:
    """What a day will be, in plain sentences. `keys` as in `forecast`."""
    return forecast(settings, keys).words()


def forecast(settings: Settings, keys: Mapping[str, int] | None = None) -> Forecast:
    """What a day will be.

    Args:
        keys: how many keys each provider has that can be used; others are left out. None: every provider of the route
            has one.
    """
    wanted = wanted_lines(settings)
    total = math.fsum(wanted.values())
    usable = [name for name in settings.gateway.route if keys is None or name in keys]
    providers = {name: provider for name in usable if (provider := settings.provider(name)) is not None}
    if any(provider.kind != "offline" for provider in providers.values()):
        # Offline steps in for the others and is no reason to talk faster than they can: the gateway reckons so too.
        providers = {name: provider for name, provider in providers.items() if provider.kind != "offline"}
    paced, budget = settings.gateway.pace_daily_quota, _budget(settings)

    def day(prompt: float) -> tuple[tuple[Allowance, ...], float, float]:
        allowed = tuple(
            allowance(name, provider, _written(settings, name), (keys or {}).get(name, 1), prompt, paced=paced)
            for name, provider in providers.items()
        )
        return allowed, *progress(total, allowed, budget)

    prompt = _mean_prompt(settings, wanted, slim=False)
    allowed, lines, cost = day(prompt)
    if total > lines * SLIM_STRETCH and paced:
        allowed, lines, cost = day(_mean_prompt(settings, wanted, slim=True))
    return Forecast(
        bots=len({bot for bot, _ in wanted}),
        wanted=total,
        calls=total * CALLS_A_LINE,
        tokens=total * tokens_a_line(prompt),
        allowances=allowed,
        budget=budget,
        paced=paced,
        lines=lines,
        cost=cost,
    )


def progress(wanted: float, allowed: Sequence[Allowance], budget: float) -> tuple[float, float]:
    """Lines and their cost when each provider in turn writes what it may, until nothing is wanted or affordable."""
    lines = cost = 0.0
    for each in allowed:
        more = min(wanted - lines, each.lines)
        if each.cost:
            more = min(more, (budget - cost) / each.cost)
        lines += more
        cost += more * each.cost
    return lines, cost


def allowance(
    name: str, provider: ProviderSettings, written: frozenset[str], keys: int, prompt: float, *, paced: bool
) -> Allowance:
    """What a provider allows when a call's prompt has so many tokens.

    Of a rolling day that is paced a part is kept for answers to people (see meter.RESERVE_ROLLING); the reserve of a
    day with a reset is given out before its end.

    Args:
        written: the keys that stand in the file.
        keys: its keys; they count for one unless each has a quota of its own, as models have where it counts so.
    """
    counted = (keys if provider.separate_quota else 1) * (len(provider.asked) if provider.quota_per_model else 1)
    share = 1 - RESERVE_ROLLING if paced and (provider.quota_reset or "rolling") == "rolling" else 1.0
    share *= counted
    limits, lines = [], math.inf
    for key, unit, a_line in ((_TOKENS, "tokens", tokens_a_line(prompt)), (_REQUESTS, "requests", CALLS_A_LINE)):
        limit = day_limit(provider, key, written=key in written)
        if limit.amount is not None:
            limits.append((limit.amount * counted, unit, limit.source))
            lines = min(lines, limit.amount * share / a_line)
    for key, hours, unit, source in _SPANS:
        amount: int | None = getattr(provider, key)
        if amount is not None:
            day = amount * 24 / hours
            limits.append((math.floor(day * counted), unit, source))
            lines = min(lines, day * share / (tokens_a_line(prompt) if unit == "tokens" else CALLS_A_LINE))
    price = provider.price or Price()
    cost = CALLS_A_LINE * (prompt * price.input + LINE_TOKENS * price.output) / 1_000_000
    return Allowance(name, tuple(limits), lines, cost)


def tokens_a_line(prompt: float) -> float:
    """Tokens of a delivered line whose prompts have so many."""
    return CALLS_A_LINE * (prompt + LINE_TOKENS)


def prompt_tokens(system: int, history: int, *, slim: bool) -> float:
    """Tokens of a prompt with a system text of so many characters and at most so many of the room's lines.

    As `personas/prompt.build` cuts it: while it is longer than its aim lines go down to `LEAST_LINES`, then the past
    (which a slim prompt never has); while it is longer than its budget more lines, down to the newest.
    """
    aim, most = PROMPT_CHARS_PER_TOKEN * AIM_TOKENS, PROMPT_CHARS_PER_TOKEN * MOST_TOKENS
    fixed, past = system + TASK_CHARS, 0 if slim else PAST_CHARS
    history = min(history, SLIM_HISTORY) if slim else history
    rows = min(history, max(LEAST_LINES, (aim - fixed - past) / ROW_CHARS))
    if fixed + past + rows * ROW_CHARS > aim:
        past = 0
    rows = max(1.0, min(rows, (most - fixed - past) / ROW_CHARS))
    return (fixed + past + rows * ROW_CHARS) / CHARS_PER_TOKEN + Estimator.EXTRA


def wanted_lines(settings: Settings) -> dict[tuple[str, int], float]:
    """Unprompted lines a day by bot and chat, without the daily limits: the law of delays, open hours, hourly limit,
    the chats' pace, and that no bot follows itself.
    """
    found: dict[tuple[str, int], float] = {}
    if not settings.simulation.active:
        return found
    for begin, end in pairwise(_edges(settings)):
        for pair, lines in _lines_an_hour(settings, (begin + end) / 2).items():
            found[pair] = found.get(pair, 0.0) + lines * (end - begin) / 60
    return {pair: lines for pair, lines in found.items() if lines}


def spoken_share(conversation: ConversationSettings, *, replies: bool = True) -> float:
    """The share of a bot's turns among bots that become a line: neither a reaction nor silence (behaviour/intent.py).

    Args:
        replies: off in basic groups.
    """
    if conversation.order == "manual":
        return 0.0
    reply = conversation.reply_to_bots_probability if replies else 0.0
    silent = (1 - reply) * (1 - conversation.continue_share) * (1 - TOPIC_PART)
    return (1 - conversation.reaction_probability) * (1 - silent)


def in_turn(rates: Mapping[str, float]) -> dict[str, float]:
    """Lines of each of a chat's bots when none may follow itself, from the lines it tries.

    Whose line is the last one is a Markov chain that moves from any bot to bot i at i's rate r: in the long run it is
    i's for r ÷ (the sum of all rates), and for so long i may not speak. A lone bot may follow itself.
    """
    total = math.fsum(rates.values())
    if len(rates) < 2 or not total:
        return dict(rates)
    return {bot: rate * (1 - rate / total) for bot, rate in rates.items()}


def _edges(settings: Settings) -> list[int]:
    """The minutes of the day at which anything opens or closes, from 0 to 1440; between two of them nothing changes."""
    ranges = [settings.pace.prime_hours]
    ranges += [bot.active_hours for bot in settings.bots] + [chat.quiet_hours for chat in settings.chats]
    return sorted({0, 1440} | {minute for row in ranges for each in row for minute in (each.start, each.end)})


def _lines_an_hour(settings: Settings, minute: float) -> dict[tuple[str, int], float]:
    """Lines an hour at a minute of the day."""
    limit = settings.pace.hourly_limit
    cap = HOURLY_SAID * (limit.min + limit.max) / 2
    tried: dict[int, dict[str, float]] = {}
    capped: dict[str, float] = {}
    for bot in settings.bots:
        rooms = _rooms(settings, bot, minute)
        turns = _turns_an_hour(settings, bot, minute) / max(1, len(rooms))
        for chat in rooms:
            share = spoken_share(settings.conversation_for(chat.id), replies=not chat.is_basic_group)
            tried.setdefault(chat.id, {})[bot.name] = turns * share
        capped[bot.name] = cap / max(1, len(rooms))
    found: dict[tuple[str, int], float] = {}
    for chat_id, rates in tried.items():
        lines = {bot: min(rate, capped[bot]) for bot, rate in in_turn(rates).items()}
        most = CHAT_SAID * settings.pace_for(chat_id).chat_per_minute * 60
        slower = min(1.0, most / total) if (total := math.fsum(lines.values())) else 1.0
        found |= {(bot, chat_id): rate * slower for bot, rate in lines.items()}
    return found


def _rooms(settings: Settings, bot: BotSettings, minute: float) -> list[ChatSettings]:
    """The chats in which a bot may speak unprompted at a minute of the day."""
    if not bot.enabled or (bot.active_hours and not _within(minute, bot.active_hours)):
        return []
    chats = (settings.chat(chat_id) for chat_id in dict.fromkeys(bot.chats))
    return [chat for chat in chats if chat is not None and chat.enabled and not _within(minute, chat.quiet_hours)]


def _turns_an_hour(settings: Settings, bot: BotSettings, minute: float) -> float:
    prime = not settings.pace.prime_hours or _within(minute, settings.pace.prime_hours)
    return 3600 / expected_delay(settings.pace, bot.pace, prime=prime, scale=settings.simulation.scale)


def _within(minute: float, ranges: Sequence[TimeRange]) -> bool:
    return any(each.contains(minute) for each in ranges)


def _mean_prompt(settings: Settings, wanted: Mapping[tuple[str, int], float], *, slim: bool) -> float:
    """Tokens of a prompt, on the average of the wanted lines."""
    if not wanted:
        return 0.0
    speakers = {bot for bot, _ in wanted}
    system = {bot.name: len(system_text(Persona.of(bot, 0))) for bot in settings.bots if bot.name in speakers}
    tokens = math.fsum(
        lines * prompt_tokens(system[bot], settings.conversation_for(chat_id).history_messages, slim=slim)
        for (bot, chat_id), lines in wanted.items()
    )
    return tokens / math.fsum(wanted.values())


def _budget(settings: Settings) -> float:
    gateway = settings.gateway
    budgets = (gateway.budget_usd_per_day, gateway.budget_usd_per_month / DAYS_A_MONTH)
    return min((dollars for dollars in budgets if dollars > 0), default=math.inf)


def _written(settings: Settings, name: str) -> frozenset[str]:
    in_file = settings.providers.get(name)
    return frozenset(in_file.model_fields_set) if in_file is not None else frozenset()


def _round(amount: float) -> str:
    """A count to three figures, in words from a million on."""
    if amount >= 1_000_000:
        return f"{amount / 1_000_000:,.1f} million"
    digits = max(0, len(str(int(amount))) - 3)
    return f"{round(amount / 10**digits) * 10**digits:,}"


def _about(amount: float) -> str:
    return f"about {_round(amount)}"

"""What happens to a fuzzed world, step by step: people, processes, the store, Telegram, the providers, the file.

A step does one thing and undoes it itself when its time is over. All chance is the universe's generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from piyasad.sandbox.faults import Fault
from piyasad.simulation.fuzz.daemon import Daemon
from piyasad.simulation.fuzz.scenario import BAD, GOOD, UNLISTED
from piyasad.simulation.fuzz.store import MODES, WELL, Link
from piyasad.simulation.fuzz.universe import MEMBERS, Universe
from piyasad.simulation.model import Trouble

Step = Callable[[Universe], str]
"""It does something and says what."""


def talk(universe: Universe) -> str:
    """A few members write a little."""
    rng = universe.rng
    number = rng.randrange(1, 5)
    for _ in range(number):
        universe.wire.later(rng.uniform(0, 20), universe.say, rng.choice(MEMBERS))
    return f"{number} lines of members"


def flood(universe: Universe) -> str:
    """Everybody writes at once."""
    rng = universe.rng
    number, seconds = rng.randrange(20, 120), rng.uniform(2, 20)
    chat = universe.chat()
    for _ in range(number):
        who = rng.choice(MEMBERS)
        universe.wire.later(rng.uniform(0, seconds), lambda who=who: universe.say(who, chat=chat))
    return f"a flood of {number} lines in {seconds:.0f} s"


def insist(universe: Universe) -> str:
    """One member writes and writes."""
    rng = universe.rng
    who, number, seconds = rng.choice(MEMBERS), rng.randrange(8, 16), rng.uniform(10, 200)
    chat = universe.chat()
    for n in range(number):
        universe.wire.later(seconds * n / number, lambda: universe.say(who, chat=chat))
    return f"{number} lines of one member in {seconds:.0f} s"


def kill(universe: Universe) -> str:
    """A machine loses its power, and comes back after a while."""
    daemon = _one(universe)
    daemon.kill()
    return f"{daemon.name} is killed, and started {_again(universe, daemon):.0f} s later"


def stop(universe: Universe) -> str:
    """A daemon is restarted by the book."""
    daemon = _one(universe)
    daemon.stop()
    return f"{daemon.name} is told to stop, and started {_again(universe, daemon, 25.0):.0f} s later"


def pause(universe: Universe) -> str:
    """A process, or its whole machine, stands still for a while."""
    rng = universe.rng
    daemon, seconds, suspended = _one(universe), rng.choice((1.0, 4.0, 8.5, 10.0, 15.0, 40.0)), rng.random() < 0.7
    daemon.pause()
    universe.wire.later(seconds, lambda: daemon.resume(suspended=suspended))
    return f"{daemon.name} {'sleeps' if suspended else 'gets no time'} for {seconds:g} s"


def jump(universe: Universe) -> str:
    """Somebody sets a machine's wall clock."""
    rng = universe.rng
    daemon = _one(universe)
    seconds = rng.choice((-3600.0, -120.0, -30.0, -1.5, 1.5, 30.0, 120.0, 3600.0))
    daemon.jump(seconds)
    universe.wire.later(rng.uniform(60, 900), daemon.jump, -seconds)
    return f"{daemon.name}'s clock jumps by {seconds:g} s"


def store(universe: Universe) -> str:
    """The store is away, hangs, is slow or loses answers, for one daemon or all."""
    rng = universe.rng
    link, whose = _link(universe)
    mode, seconds = rng.choice(MODES), rng.choice((0.5, 3.0, 8.0, 20.0, 60.0))
    link.mode, link.only = mode, None
    universe.wire.later(seconds, _mend, link)
    return f"the store is {mode} for {whose} for {seconds:g} s"


def lease(universe: Universe) -> str:
    """Beats do not come through."""
    rng = universe.rng
    link, whose = _link(universe)
    seconds = rng.uniform(4, 25)
    link.mode, link.only = rng.choice(MODES), frozenset({"beat", "enter"})
    universe.wire.later(seconds, _mend, link)
    return f"beats are {link.mode} for {whose} for {seconds:.0f} s"


def ledger(universe: Universe) -> str:
    """Claims or settlements fare badly."""
    rng = universe.rng
    link, whose = _link(universe)
    seconds = rng.uniform(5, 90)
    name = rng.choice(("claim", "settle", "take_stimulus", "close_stimulus", "receive", "claim_notice", "take", "said"))
    link.mode, link.only = rng.choice(MODES), frozenset({name})
    universe.wire.later(seconds, _mend, link)
    return f"{name} is {link.mode} for {whose} for {seconds:.0f} s"


def telegram(universe: Universe) -> str:
    """Telegram refuses, cuts or is slow."""
    rng = universe.rng
    kind = rng.choice(("429", "500", "502", "latency", "cut_before", "cut_after", "cut_after"))
    method = rng.choice(("sendMessage", "sendMessage", "sendMessage", "getUpdates", None))
    seconds, share = rng.uniform(10, 180), rng.choice((0.2, 0.5, 1.0))
    fault = Fault(kind, method, probability=share, seconds=rng.choice((1.0, 3.0, 8.0)))
    faults = universe.outside.telegram.faults
    faults.append(fault)
    universe.wire.later(seconds, lambda: faults.remove(fault) if fault in faults else None)
    return f"Telegram: {kind} for {share:.0%} of {method or 'all calls'} for {seconds:.0f} s"


def unreachable(universe: Universe) -> str:
    """A machine has no way to Telegram."""
    daemon, seconds = _one(universe), universe.rng.uniform(2, 60)
    client = daemon.client
    if client is None:
        return "nothing"
    client.reachable = False

    def back() -> None:
        client.reachable = True

    universe.wire.later(seconds, back)
    return f"{daemon.name} cannot reach Telegram for {seconds:.0f} s"


def models(universe: Universe) -> str:
    """A provider, or all, in a mood."""
    rng = universe.rng
    kind = rng.choice(("server", "cut", "no_connection", "hang", "throttled", "refused", "empty", "slow"))
    trouble = Trouble(kind, rng.choice(("", "groq", "openai")), rng.choice((0.3, 1.0)), rng.choice((2.0, 10.0, 40.0)))
    troubles, seconds = universe.outside.models.troubles, rng.uniform(10, 240)
    troubles.append(trouble)
    universe.wire.later(seconds, lambda: troubles.remove(trouble) if trouble in troubles else None)
    return f"providers: {kind} for {trouble.share:.0%} of {trouble.provider or 'all'} for {seconds:.0f} s"


def reload(universe: Universe) -> str:
    """The file is changed for the better, and every daemon is told."""
    change = universe.rng.choice(GOOD)
    universe.write(change(universe.file, universe.scenario.everything, universe.rng))
    _signal(universe)
    return f"reload: {change.__name__}"


def bad_reload(universe: Universe) -> str:
    """The file is broken for a moment, and every daemon is told; then it is as it was."""
    rng = universe.rng
    before = universe.file
    if rng.random() < 0.3:
        universe.write(before, "broken TOML")
        what = "broken"
    else:
        change = rng.choice(BAD)
        changed = change(before, rng)
        for daemon in universe.daemons:
            daemon.file = changed
        what = change.__name__
    _signal(universe)
    universe.wire.later(10.0, lambda: universe.write(universe.file))
    return f"a bad reload: {what}"


def membership(universe: Universe) -> str:
    """A bot is taken out of its group for a while, or put into one that nobody lists."""
    rng, world = universe.rng, universe.outside.telegram.world
    bot = rng.choice(list(world.bots.values()))
    if rng.random() < 0.5:
        world.membership(world.groups[UNLISTED], bot, "member")
        return f"{bot.name} is added to a strange group"
    group = universe.group(universe.chat())
    if group.members.get(bot.id) not in {"member", "administrator"}:
        return "nothing"
    world.membership(group, bot, "kicked")
    universe.wire.later(rng.uniform(5, 300), world.membership, group, bot, "administrator")
    return f"{bot.name} is kicked for a while"


STEPS: Final[tuple[tuple[Step, int], ...]] = (
    (talk, 26), (insist, 4), (flood, 2), (kill, 8), (stop, 4), (pause, 8), (jump, 4), (store, 8), (lease, 5),
    (ledger, 9), (telegram, 12), (unreachable, 4), (models, 6), (reload, 6), (bad_reload, 3), (membership, 3),
)  # fmt: skip
"""All steps with their weights."""


def step(universe: Universe) -> str:
    """Let something happen."""
    (chosen,) = universe.rng.choices([each for each, _ in STEPS], [weight for _, weight in STEPS])
    return chosen(universe)


def _one(universe: Universe) -> Daemon:
    return universe.rng.choice(universe.daemons)


def _again(universe: Universe, daemon: Daemon, at_least: float = 0.0) -> float:
    seconds = at_least + universe.rng.choice((0.1, 2.0, 5.0, 12.0, 30.0, 90.0))
    universe.wire.later(seconds, daemon.start)
    return seconds


def _link(universe: Universe) -> tuple[Link, str]:
    if universe.rng.random() < 0.4:
        return universe.every, "all"
    daemon = _one(universe)
    return daemon.link, daemon.name


def _mend(link: Link) -> None:
    link.mode, link.only = WELL, None


def _signal(universe: Universe) -> None:
    for daemon in universe.daemons:
        universe.wire.later(universe.rng.uniform(0, 5), daemon.reload)

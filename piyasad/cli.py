"""The commands: parse, call, print. No logic. Heavy imports stand inside the commands, so that `--help` is quick."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from piyasad.config import Settings

app = typer.Typer(
    name="piyasad",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich for the help alone would double its time
    pretty_exceptions_enable=False,
    help="Many openly labelled AI bots hold a lively market conversation in Telegram groups that you own. "
    "Begin with: piyasad demo",
)
bots_app = typer.Typer(
    short_help="The bots and how they are.",
    invoke_without_command=True,
)
chats_app = typer.Typer(
    short_help="The chats and how they are.",
    invoke_without_command=True,
)
app.add_typer(bots_app, name="bots")
app.add_typer(chats_app, name="chats")

Config = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.", show_default=True)]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the private database and other state live, instead of [store] data_dir."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Dsn = Annotated[
    str | None, typer.Option("--dsn", help="The daemon's PostgreSQL, where no configuration can be read that names it.")
]
DEFAULT_CONFIG = Path("config.toml")


def main() -> None:
    """The entry point: runs a command and ends the process with its exit code."""
    try:
        code = _code()
        sys.stdout.flush()  # here, and not where the interpreter ends and nobody can catch what it raises
    except BrokenPipeError:  # `piyasad status | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _code() -> int:
    try:
        code = app(standalone_mode=False)
    except typer.Exit as leave:
        code = leave.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except Exception as error:  # noqa: BLE001 - what is no user's mistake is raised again
        code = _explained(error)
    return code if isinstance(code, int) else 0


def _explained(error: Exception) -> int:
    """Show a user's mistake in one readable message; 2. Anything else is a fault of ours and is raised again."""
    loader = sys.modules.get("piyasad.config.load")  # not imported: then the error cannot be its
    if loader is not None and isinstance(error, loader.ConfigError):
        print(error, file=sys.stderr)
        return 2
    show = getattr(error, "show", None)  # the parser's own errors know how to show themselves
    if show is None:
        raise error
    show()
    return 2


def _version(value: bool) -> None:
    if value:
        from piyasad import __version__

        print(f"piyasad {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


@app.command(short_help="The daemon.")
def run(
    config: Config = DEFAULT_CONFIG,
    shard: Annotated[
        str, typer.Option("--shard", help="Which of n identical daemons this is, counted from 0: i/n.")
    ] = "0/1",
    data_dir: DataDir = None,
    listen: Annotated[
        str | None, typer.Option("--listen", help="HOST:PORT for metrics and health, instead of [http] listen.")
    ] = None,
) -> None:
    """The daemon: the configured bots talk in the configured chats until it is told to stop.

    SIGHUP reloads the configuration; SIGTERM or Ctrl-C drains (a second one exits now). Without a [store] postgres it
    runs a private database in the data directory.

    Example: piyasad run --config config.toml
    Example, the first of four that share the bots and one database: piyasad run --shard 0/4 (the last is 3/4)
    """
    from piyasad.config.load import ConfigError, Problem
    from piyasad.config.shard import parse_shard

    try:
        which = parse_shard(shard)
    except ValueError as error:
        raise ConfigError([Problem("", None, "--shard", str(error))]) from None
    from piyasad import engine

    raise typer.Exit(engine.run(config, shard=which, data_dir=data_dir, listen=listen))


@app.command(short_help="The daemon in its sandbox: watch, and join in.")
def demo(
    port: Annotated[
        int | None, typer.Option("--port", help="The page's port; a free one if not given.", min=1, max=65535)
    ] = None,
    data_dir: DataDir = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
) -> None:
    """The daemon in its sandbox: four bots talk in a web page, and you can join in. Needs no token, key or server.

    The conversation is kept in the data directory and goes on at the next start. Ctrl-C ends it.

    Example: piyasad demo --port 8080
    """
    from piyasad.commands import demo as demonstration

    def say(text: str) -> None:
        print(text, flush=True)

    raise typer.Exit(demonstration.run(port=port, data_dir=data_dir, open_browser=browser, say=say))


@app.command(short_help="What could be wrong, each with its cure.")
def check(
    config: Config = DEFAULT_CONFIG,
    online: Annotated[
        bool, typer.Option("--online", help="Also ask Telegram about bots and chats, and each LLM provider for a word.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Everything that could be wrong, each with its cure, and the lines a day to expect.

    Online it lists each LLM provider's models and proves every key and model with one call of a few tokens.

    Exit code 0: fine; 1: something is wrong; 2: the file cannot be used. Example: piyasad check --online
    """
    import asyncio

    from piyasad.commands.check.check import check as examine
    from piyasad.config.load import ConfigError, Problem, read

    subject: Settings | ConfigError
    warnings: Sequence[Problem] = ()
    try:
        loaded = read(config)
        subject, warnings = loaded.settings, loaded.warnings
    except ConfigError as error:
        subject = error
    findings = asyncio.run(examine(subject, warnings=warnings, online=online))
    wrong = any(finding.level == "error" for finding in findings)
    if as_json:
        print(json.dumps([finding.as_json() for finding in findings], ensure_ascii=False, indent=1))
    else:
        rows = [(finding.level, finding.where, finding.what, finding.cure) for finding in findings]
        _table("Findings" if rows else "Nothing found", ("", "where", "what", "cure"), rows)
    raise typer.Exit((2 if isinstance(subject, ConfigError) else 1) if wrong else 0)


@app.command(short_help="What a reload would change.")
def plan(config: Config = DEFAULT_CONFIG, data_dir: DataDir = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """What a reload of this file would change in the running daemons: + - ~ per bot, chat, provider, setting.

    Exit code 0: it could be loaded; 1: it would be refused, or no daemon runs; 2: the file cannot be used.

    Example: piyasad plan && systemctl reload piyasad
    """
    from piyasad.commands.database import NoDaemon
    from piyasad.commands.plan import plans_of

    try:
        plans = plans_of(config, data_dir, dsn)
    except NoDaemon as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps([each.as_json() for each in plans], ensure_ascii=False, indent=1))
    else:
        for each in plans:
            rows = [(row.sign, row.kind, row.name, row.detail, "restart" if row.restart else "") for row in each.rows]
            heads = ("", "what", "name", "change", "needs")
            _table(f"Plan for {', '.join(each.daemons)}" + ("" if rows else ": nothing changes"), heads, rows)
            for problem in each.refused:
                print(f"refused: {problem}")
            _say_all(each.notes)
    raise typer.Exit(1 if any(each.refused for each in plans) else 0)


@app.command(short_help="Daemons, bots, last messages.")
def status(config: Config = DEFAULT_CONFIG, data_dir: DataDir = None, dsn: Dsn = None, as_json: AsJson = False) -> None:
    """Daemons, bots, limits, why turns were silent, and the last messages, as the running daemons tell them.

    Exit code 1 when no daemon is alive. Example, for a demo: piyasad status --data-dir ~/.local/state/piyasad/demo
    """
    from piyasad.commands.database import NoDaemon
    from piyasad.commands.status import state_of, stretch_words

    try:
        state = state_of(config, data_dir, dsn)
    except NoDaemon as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    _say_all(state.pop("notes"))
    if as_json:
        print(json.dumps(state, ensure_ascii=False, indent=1))
    else:
        columns = ("shard", "host", "pid", "alive", "role", "bots", "last beat", "drain")
        _table(f"Daemons (times are in {state['zone']})", columns, _rows(state, "daemons"))
        for words in state["missing"]:
            print(words)
        _table("Bots", BOT_COLUMNS, _rows(state, "bots"))
        if state["former"]:
            _table("No longer configured", ("id", "name", "username"), _rows(state, "former"))
        if state["resting"]:
            _table("Resting", ("bot", "id", "chat", "until", "reason"), _rows(state, "resting"))
        columns = ("shard", "provider", "model", "state", "limit", "of", "left", "source")
        _table("Limits of the LLM providers", columns, _rows(state, "limits"))
        if state["stretch"] is not None:
            print(stretch_words(state["stretch"]))
        for words in state["forecast"]:
            print(words)
        _table("Messages of the last 24 h", ("state", "number"), list(state["counts"].items()))
        _table("Silent turns of the last 24 h", ("meant", "reason", "turns"), _rows(state, "silences"))
        _table("Last messages", ("at", "chat", "title", "author", "text"), _rows(state, "messages"))
    raise typer.Exit(0 if any(row["alive"] for row in state["daemons"]) else 1)


BOT_COLUMNS = ("id", "name", "username", "chats", "active hours", "state", "owner", "reason")


@bots_app.callback()
def bots(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """The bots of the configuration and how they are: the same as `bots list`.

    Example: piyasad bots --json
    """
    if context.invoked_subcommand is None:
        bots_list(config, data_dir, dsn, as_json)


@bots_app.command("list")
def bots_list(
    config: Config = DEFAULT_CONFIG, data_dir: DataDir = None, dsn: Dsn = None, as_json: AsJson = False
) -> None:
    """Each bot with its chats, active hours, state, and the daemon that holds it (shard, host, process)."""
    from piyasad.commands.status import bots_of

    _show("Bots", BOT_COLUMNS, bots_of, (config, data_dir, dsn), as_json)


@chats_app.callback()
def chats(
    context: typer.Context,
    config: Config = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """The chats of the configuration and how they are: the same as `chats list`.

    Example: piyasad chats --json
    """
    if context.invoked_subcommand is None:
        chats_list(config, data_dir, dsn, as_json)


@chats_app.command("list")
def chats_list(
    config: Config = DEFAULT_CONFIG, data_dir: DataDir = None, dsn: Dsn = None, as_json: AsJson = False
) -> None:
    """Each chat with its bots, its ear (the bot that listens for all) and when the notice was posted."""
    from piyasad.commands.status import chats_of

    columns = ("id", "title", "enabled", "bots", "ear", "notice at", "notice")
    _show("Chats", columns, chats_of, (config, data_dir, dsn), as_json)


@app.command(short_help="Hours of the configured room in seconds, in a virtual world.")
def simulate(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The configuration file. [default: config.toml, or ours]")
    ] = None,
    hours: Annotated[float, typer.Option("--hours", help="How long the room lives.", min=0.01, max=8784)] = 24.0,
    seed: Annotated[int, typer.Option("--seed", help="Of every choice: the same gives the same; 0 is 1.", min=0)] = 1,
    people: Annotated[
        Path | None, typer.Option("--people", help="A TOML file of what members say and when (docs/simulation.md).")
    ] = None,
    journal: Annotated[Path | None, typer.Option("--journal", help="Write all that happens as JSON lines.")] = None,
    as_json: AsJson = False,
) -> None:
    """Hours of the configured room in seconds: the daemon itself, in a world in memory that keeps Telegram's and the
    providers' limits. Needs no token, no key and no network; begins on a Monday at midnight.

    It tells lines by bot, chat and hour, tokens, cost, which limits held the bots back, and how long people waited.
    Without a config.toml here it takes the configuration that comes with piyasad.

    Example: piyasad simulate --hours 24 --people people.toml --journal day.jsonl
    """
    from piyasad.commands import simulate as simulation

    with simulation.progress_bar(hours) as progress:
        report = simulation.simulate(
            config or simulation.own_or_shipped(DEFAULT_CONFIG),
            hours,
            seed=seed,
            people=people,
            journal=journal,
            progress=progress,
        )
    if as_json:
        print(json.dumps(report.as_json(), ensure_ascii=False, indent=1))
    else:
        for table in simulation.tables_of(report):
            if table.rows:
                _table(*table)


Chat = Annotated[
    int | None, typer.Option("--chat", help="The chat's id, for a link that names a public group instead of a number.")
]


@app.command(short_help="Forget a member, in every table.")
def forget(
    user: Annotated[
        str, typer.Argument(help="An id, an @username, or the link to a line of theirs or an answer to one.")
    ],
    names: Annotated[
        list[str] | None, typer.Option("--name", help="A further name they went by; may be given again.")
    ] = None,
    handles: Annotated[
        list[str] | None, typer.Option("--handle", help="A further @username they went by; may be given again.")
    ] = None,
    chat: Chat = None,
    config: Config = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Forget a member: their rows go, and their id, name and @username everywhere; what bots quoted of them goes, too.

    Other members' words stay; so do the hashes for `verify` and a wish to be left out. Backups are not reached.

    Exit code 1: nothing is held on them, or no daemon runs.

    Example: piyasad forget @zehra_k
    """
    from piyasad.commands.forget import forget_of

    done = _asked(
        lambda: forget_of(config, data_dir, dsn, user, chat_id=chat, names=names or (), handles=handles or ())
    )
    _say_all(done.pop("notes"))
    if as_json:
        print(json.dumps(done, ensure_ascii=False, indent=1))
    else:
        rows = [(table, done["deleted"].get(table, 0), done["rewritten"].get(table, 0)) for table in done["tables"]]
        _table("Forgotten", ("table", "rows deleted", "rows rewritten"), rows)


@app.command(short_help="Whether a bot of ours said this, when, and which.")
def verify(
    said: Annotated[
        str, typer.Argument(help="The text, the link to the message, or - for the text on standard input.")
    ],
    chat: Chat = None,
    config: Config = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Whether a bot of ours said this, when, and which one; also long after the line itself is gone.

    Lines are known by the fingerprint of their words and figures: case, punctuation, spacing and emoji do not count.

    Exit code 1: none of ours is known to have said it.

    Example: piyasad verify "Altın bu hafta sakin."
    """
    from piyasad.commands.verify import verify_of

    text = sys.stdin.read() if said == "-" else said
    told = _asked(lambda: verify_of(config, data_dir, dsn, text, chat))
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=1))
    elif told["said"]:
        columns = ("at", "bot", "username", "bot id", "chat", "title", "id", "link")
        _table(f"Said, by its {told['by']} (times are in {told['zone']})", columns, _rows(told, "said"))
    else:
        print("No bot of ours is known to have said this.", file=sys.stderr)
    raise typer.Exit(0 if told["said"] else 1)


@app.command(short_help="Everything about one line, names masked.")
def evidence(
    line: Annotated[str, typer.Argument(help="The id of a message (see verify), or the link to it.")],
    chat: Chat = None,
    config: Config = DEFAULT_CONFIG,
    data_dir: DataDir = None,
    dsn: Dsn = None,
    as_json: AsJson = False,
) -> None:
    """Everything about one line: what it answers and rests on, guards, masks, the notice shown before it, its hash.

    Members' names are masked. Exit code 1: no such line is known.

    Example: piyasad evidence 4711 --json
    """
    from piyasad.commands.evidence import evidence_of, flat

    told = _asked(lambda: evidence_of(config, data_dir, dsn, line, chat))
    if as_json:
        print(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        _table("Evidence", ("of", "what", ""), list(flat(told)))


def _asked(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An answer, or one line of why there is none, and the exit code."""
    from piyasad.commands.database import NoDaemon
    from piyasad.commands.link import BadArgument, Unknown

    try:
        return ask()
    except (BadArgument, NoDaemon, Unknown) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(2 if isinstance(error, BadArgument) else 1) from None


@app.command(short_help="Telegram and LLM servers of our own, on loopback.")
def sandbox(
    listen: Annotated[str, typer.Option("--listen", help="HOST:PORT; port 0 takes a free one.")] = "127.0.0.1:8420",
    world: Annotated[Path | None, typer.Option("--world", help="A JSON file with bots, people and chats.")] = None,
    state: Annotated[Path | None, typer.Option("--state", help="Keep what is said in this JSON-lines file.")] = None,
    until_stdin_ends: Annotated[bool, typer.Option("--until-stdin-ends", hidden=True)] = False,
) -> None:
    """Telegram and LLM servers of our own on loopback, with the real ones' limits, faults on demand, and a page.

    Set [telegram] api_base to the printed address, and a provider's base_url to …/llm/openai/v1.

    Example: piyasad sandbox --listen 127.0.0.1:8420
    """
    from piyasad.sandbox.command import run as run_sandbox

    raise typer.Exit(run_sandbox(listen, world, state, until_stdin_ends=until_stdin_ends))


def _rows(state: dict[str, Any], key: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in state[key]]


def _show(
    title: str,
    heads: Sequence[str],
    ask: Callable[[Path, Path | None, str | None], tuple[list[dict[str, Any]], list[str]]],
    where: tuple[Path, Path | None, str | None],
    as_json: bool,
) -> None:
    from piyasad.commands.database import NoDaemon

    try:
        rows, notes = ask(*where)
    except NoDaemon as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    _say_all(notes)
    if as_json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        _table(title, heads, [tuple(row.values()) for row in rows])


def _say_all(notes: Sequence[str]) -> None:
    for words in notes:
        print(words, file=sys.stderr)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from piyasad.commands import table

    table.show(title, heads, rows)

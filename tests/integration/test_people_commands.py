"""`forget`, `verify` and `evidence` beside a running daemon's database, as an operator types them."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from piyasad import cli
from piyasad.clock import DAY
from piyasad.model import DaemonRow, Draft, Kind, Received, State, TurnTrace
from piyasad.store.postgres import PostgresStore

CHAT, BOT, ZEHRA = -1001234567890, 7100000001, 5012345678
LINK = "https://t.me/c/1234567890"
WORDS = "Kız kardeşimin düğünü için gram altın biriktiriyorum, beni 0532 123 45 67'den ara"

Command = Callable[..., "asyncio.Future[tuple[int, str, str]]"]


@pytest.fixture
def command(
    pg_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run a command on the test's database: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["piyasad", *map(str, arguments)])
        capsys.readouterr()  # what the test itself made the store log
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    async def invoke(*arguments: object) -> tuple[int, str, str]:
        return await asyncio.to_thread(run, *arguments, "--dsn", pg_dsn, "--config", tmp_path / "none.toml")

    return invoke  # type: ignore[return-value]


@pytest.fixture
async def line(store: PostgresStore) -> int:
    """A bot's answer to Zehra, with a notice before it and a trace; its id in the ledger."""
    await store.enter(DaemonRow("d", 0, 1, "evim", 1, "hash", 0.0, True, ""), 600)
    [lease] = await store.take("d", [(BOT, "Ali Hoca", "ali_bot")])
    await store.ensure_chats([CHAT])
    now = await store.now()
    zehra = {"user_id": ZEHRA, "author": "Zehra Korkmaz", "handle": "zehra_k"}
    await store.receive([Received(CHAT, 10, text=WORDS, at=now - 9, to=(BOT,), **zehra)])  # type: ignore[arg-type]

    async def say(text: str, telegram_id: int, kind: Kind, **more: object) -> int:
        claim = await store.claim(Draft(BOT, lease.fence, CHAT, kind, text, "Ali Hoca", **more))  # type: ignore[arg-type]
        assert claim is not None
        await store.settle(claim, State.SENT, telegram_id=telegram_id, at=now - 8 + telegram_id / 100)
        return claim.id

    await say("Bu gruptaki 🤖 hesaplar yapay zekâ", 11, Kind.NOTICE)
    said = await say("Hayırlı olsun Zehra Korkmaz, altın 3.450", 12, Kind.ANSWER, reply_to=10, turn_id="t1")
    detail = {
        "reason": "Zehra Korkmaz asked",
        "facts": ["gram altın 3.450 TL (TCMB, 10:00)"],
        "verdicts": ["money: 3.600 was given by nobody"],
        "provider": "groq",
        "prompt": {"user": "Üye 1: biriktiriyorum"},
    }
    store.record_turns([TurnTrace("t1", BOT, CHAT, now - 8, "answer", "sent", detail)])
    await store.usage(0)  # which waits for the trace
    return said


async def test_verify_says_which_bot_said_it_and_when(command: Command, line: int) -> None:
    for words in ("hayırlı olsun zehra korkmaz altın 3.450", f"{LINK}/12"):
        code, out, _ = await command("verify", words, "--json")
        assert code == 0
        told = json.loads(out)
        [said] = told["said"]
        assert (said["bot"], said["username"], said["bot_id"]) == ("Ali Hoca", "@ali_bot", BOT)
        assert (said["chat"], said["id"], said["link"]) == (CHAT, line, f"{LINK}/12")
    code, out, _ = await command("verify", "Hayırlı olsun Zehra Korkmaz, altın 3.450")
    assert (code, f"\t{LINK}/12" in out) == (0, True)


async def test_verify_ends_with_1_for_what_no_bot_said(command: Command, line: int) -> None:
    for words in ("Hayırlı olsun Zehra Korkmaz, altın 3.451", WORDS, f"{LINK}/10", f"{LINK}/{line + 1000}"):
        assert await command("verify", words) == (1, "", "No bot of ours is known to have said this.\n")
    code, out, _ = await command("verify", "x", "--json")
    assert (code, json.loads(out)["said"]) == (1, [])


async def test_verify_reads_a_text_of_several_lines_from_standard_input(
    command: Command, line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hayırlı olsun\nZehra Korkmaz,\n\naltın 3.450\n"))
    assert (await command("verify", "-"))[0] == 0


async def test_evidence_tells_everything_about_a_line_and_masks_who_is_in_it(command: Command, line: int) -> None:
    code, out, _ = await command("evidence", line, "--json")
    assert code == 0
    assert (await command("evidence", f"{LINK}/12", "--json"))[1] == out
    told = json.loads(out)
    assert told["line"]["text"] == "Hayırlı olsun Üye 1, altın 3.450"
    assert (told["line"]["author"], told["line"]["kind"], told["line"]["state"]) == ("Ali Hoca", "answer", "sent")
    assert told["answers"]["author"] == "Üye 1"
    assert "[telefon]" in told["answers"]["text"]
    assert told["said"]["text"] == "as it was sent"
    assert told["notice"]["before"]["text"] == "Bu gruptaki 🤖 hesaplar yapay zekâ"
    assert told["notice"]["known_posted"] == f"{LINK}/11"
    turn = told["turn"]
    assert turn["sources"] == {"facts": ["gram altın 3.450 TL (TCMB, 10:00)"]}
    assert turn["guards"] == {"verdicts": ["money: 3.600 was given by nobody"]}
    assert (turn["detail"]["reason"], turn["detail"]["provider"]) == ("Üye 1 asked", "groq")
    assert turn["prompt"] == {"prompt": {"user": "Üye 1: biriktiriyorum"}}
    for secret in ("Zehra", "Korkmaz", "zehra_k", str(ZEHRA), "0532"):
        assert secret not in out
    code, out, _ = await command("evidence", line)
    assert (code, "turn\tguards.verdicts\t" in out, "Zehra" in out) == (0, True, False)


async def test_evidence_of_a_line_that_is_no_longer_kept_is_its_hash(
    command: Command, line: int, store: PostgresStore
) -> None:
    await store.maintain(await store.now() + 40 * DAY, 30)
    code, out, _ = await command("evidence", line, "--json")
    told = json.loads(out)
    assert (code, told["line"], told["turn"], len(told["said"]["fingerprint"])) == (0, None, None, 64)
    assert (await command("verify", "hayırlı olsun zehra korkmaz altın 3.450"))[0] == 0


async def test_evidence_says_when_a_text_is_not_as_it_was_sent(
    command: Command, line: int, store: PostgresStore
) -> None:
    await store.forget(ZEHRA)
    told = json.loads((await command("evidence", line, "--json"))[1])
    assert told["line"]["text"] == "Hayırlı olsun Üye, altın 3.450"
    assert told["said"]["text"].startswith("changed since")
    assert (await command("verify", "Hayırlı olsun Zehra Korkmaz, altın 3.450"))[0] == 0


@pytest.mark.parametrize(
    "user", [ZEHRA, "@Zehra_K", f"{LINK}/10", f"{LINK}/12"], ids=["id", "handle", "line", "answer"]
)
async def test_a_member_is_forgotten_by_id_handle_or_link(
    command: Command, line: int, store: PostgresStore, user: object
) -> None:
    code, out, err = await command("forget", user, "--json")
    assert code == 0
    done = json.loads(out)
    assert (done["user_id"], done["deleted"]) == (ZEHRA, {"message": 1, "stimulus": 1})
    assert done["rewritten"] == {"message": 1, "turn": 1}
    assert "backups" in err
    assert "five minutes" in err  # a daemon runs
    assert [message.author for message in await store.recent(CHAT, 9)] == ["Ali Hoca", "Ali Hoca"]
    code, out, err = await command("forget", user)
    assert (code, out, err.count("\n")) == (1, "", 1)


async def test_forgetting_is_told_as_a_table(command: Command, line: int) -> None:
    code, out, _ = await command("forget", ZEHRA, "--name", "Zehra Hanım", "--handle", "zehra_eski")
    assert code == 0
    assert out.splitlines()[:3] == ["# Forgotten", "table\trows deleted\trows rewritten", "message\t1\t1"]


async def test_who_is_unknown_or_cannot_be_read_is_one_clear_line(command: Command, line: int) -> None:
    for user, code, words in (
        (404404404, 1, "nothing is held on 404404404"),
        ("@nobody_here", 1, "nothing is held on @nobody_here"),
        (f"{LINK}/404", 1, "the link leads to no member's line"),
        (f"{LINK}/11", 1, "the link leads to no member's line"),
        ("Zehra Korkmaz", 2, "is no member: give an id"),
        ("https://t.me/borsa_grubu/12", 2, "--chat"),
        (BOT, 2, "is a bot of ours"),
    ):
        assert await command("forget", user) == (code, "", (await command("forget", user))[2])
        assert words in (await command("forget", user))[2]
    for message, code, words in ((404, 1, "no such line is known"), ("@x", 2, "neither the id"), (" ", 2, "neither")):
        got = await command("evidence", message)
        assert (got[0], got[1], words in got[2]) == (code, "", True)
    assert (await command("verify", " "))[0] == 2


async def test_a_handle_that_several_members_bore_is_no_ones(command: Command, line: int, store: PostgresStore) -> None:
    await store.receive([Received(CHAT, 20, 42, "Mert", "selam", await store.now(), handle="zehra_k")])
    code, out, err = await command("forget", "@zehra_k")
    assert (code, out) == (2, "")
    assert f"42, {ZEHRA}" in err


async def test_a_public_groups_link_is_understood_with_its_chats_id(command: Command, line: int) -> None:
    assert (await command("verify", "https://t.me/borsa_grubu/12", "--chat", CHAT))[0] == 0


def test_without_a_database_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for command in (["forget", "5"], ["verify", "söz"], ["evidence", "5"]):
        monkeypatch.setattr(sys, "argv", ["piyasad", *command, "--data-dir", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert (end.value.code, out, err.count("\n")) == (1, "", 1)
        assert "no daemon runs" in err

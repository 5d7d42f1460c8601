"""The script of members: read with every fault told where it stands, spoken at its time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from piyasad.clock import LoopClock
from piyasad.config.load import default_config, load
from piyasad.config.problems import ConfigError
from piyasad.config.settings import Settings
from piyasad.sandbox.objects import Line
from piyasad.simulation.outside import Outside, accounts_of
from piyasad.simulation.people import Entry, People, read
from piyasad.simulation.virtual_day import midnight
from tests.virtual import run_virtual

SETTINGS = load(default_config(), env={})
CHAT = SETTINGS.chats[0].id
MIDNIGHT = midnight(SETTINGS)
HOUR = 3600.0


def script(tmp_path: Path, text: str, settings: Settings = SETTINGS) -> list[Entry]:
    file = tmp_path / "people.toml"
    file.write_text(text, encoding="utf-8")
    return read(file, settings, MIDNIGHT)


def faults(tmp_path: Path, text: str, settings: Settings = SETTINGS) -> list[str]:
    with pytest.raises(ConfigError) as error:
        script(tmp_path, text, settings)
    assert all(problem.file.endswith("people.toml") for problem in error.value.problems)
    return [f"{problem.line}: {problem.key}: {problem.message}" for problem in error.value.problems]


def test_a_script_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    entries = script(
        tmp_path,
        """
        [[say]]
        at = "21:05:30"
        who = "Deniz"
        text = "Günün özeti?"
        [[say]]
        at = "09:31"
        who = "Ece"
        text = "Günaydın"
        reply_to = "Deniz"
        [[say]]
        at = "08:00"
        day = 2
        who = "Ece"
        text = "Bugün ne konuşuyoruz?"
        reply_to = "Ali Hoca"
        """,
    )
    assert [(entry.who, entry.at - MIDNIGHT, entry.reply_to) for entry in entries] == [
        ("Ece", 9.5 * HOUR + 60, "Deniz"),
        ("Deniz", 21 * HOUR + 330, None),
        ("Ece", 32 * HOUR, "Ali Hoca"),
    ]
    assert {entry.chat for entry in entries} == {CHAT}


def test_an_empty_script_says_nothing(tmp_path: Path) -> None:
    assert script(tmp_path, "") == []


def test_every_fault_is_told_with_its_line_its_entry_and_what_was_expected(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        '[[say]]\nat = "25:00"\nwho = "Deniz"\ntext = "x"\n'
        '[[say]]\nat = "10:00"\nwho = "Ali Hoca"\ntext = ""\nday = 0\nwhen = 1\n'
        '[[say]]\nat = "10:00"\nwho = "Ece"\ntext = "y"\nreply_to = "Veli"\nchat = -5\n'
        "[[say]]\nat = 10:00:00\n",
    )
    assert found[0] == """2: say[1].at: expected "HH:MM" or "HH:MM:SS", found '25:00'"""
    assert "7: say[2].who: expected a member, found a bot: Ali Hoca" in found
    assert """8: say[2].text: expected what is said, "…", found ''""" in found
    assert "9: say[2].day: expected 1 (the first day) or more, found 0" in found
    assert "10: say[2].when: unknown key; known are at, day, who, text, reply_to, chat" in found
    assert any(line.startswith("15: say[3].reply_to: expected a bot or who speaks here (") for line in found)
    assert f"16: say[3].chat: expected one of the enabled chats ({CHAT}), found -5" in found
    assert any(line.startswith("17: say[4].who: expected a member's name") for line in found), "the entry's line"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("say = 1", "1: say: expected [[say]] tables, one for each line that is said"),
        ("[said]\na = 1", "1: said: unknown key; a script is a list of [[say]] tables"),
        ("[[say", "None: : broken TOML: "),
    ],
)
def test_what_is_no_script_is_refused(tmp_path: Path, text: str, message: str) -> None:
    assert faults(tmp_path, text)[0].startswith(message)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read(tmp_path / "none.toml", SETTINGS, MIDNIGHT)


def test_with_several_chats_an_entry_names_its_own(tmp_path: Path) -> None:
    two = SETTINGS.model_copy(
        update={"chats": (*SETTINGS.chats, SETTINGS.chats[0].model_copy(update={"id": -1009, "title": "İkinci"}))}
    )
    text = '[[say]]\nat = "10:00"\nwho = "Ece"\ntext = "y"\n'
    (fault,) = faults(tmp_path, text, two)
    assert fault == f"1: say[1].chat: expected one of the enabled chats ({CHAT}, -1009), found nothing"
    assert script(tmp_path, text + "chat = -1009", two)[0].chat == -1009


def test_each_line_is_said_at_its_time_as_a_reply_to_the_newest_line_of_whom_it_names() -> None:
    async def work(clock: LoopClock) -> list[Line]:
        outside = Outside(accounts_of(SETTINGS), clock, 1)
        world, ids = outside.telegram.world, outside.accounts.ids
        group, ali = world.groups[CHAT], world.bots[ids["Ali Hoca"]]
        said: list[Line] = []
        people = People(world, ids, said.append)
        world.send(ali, group, "İlk", None, None)
        world.rename(ali, name="Ali Hoca 🤖")
        newest = world.send(ali, group, "İkinci", None, None)
        entries = [
            Entry(MIDNIGHT - 5, CHAT, "Ece", "geçti"),
            Entry(MIDNIGHT + 5, CHAT, "Ece", "a", "Ali Hoca"),
            Entry(MIDNIGHT + 6, CHAT, "Deniz", "b", "Ece"),
            Entry(MIDNIGHT + 7, CHAT, "Deniz", "c", "Zeynep Yeni"),
        ]
        await asyncio.wait_for(people.run(entries, clock), 60)
        assert [line.reply_to for line in said] == [newest.id, said[0].id, None]
        return said

    said = run_virtual(work, MIDNIGHT)
    assert [(line.text, line.at - MIDNIGHT) for line in said] == [("a", 5.0), ("b", 6.0), ("c", 7.0)]

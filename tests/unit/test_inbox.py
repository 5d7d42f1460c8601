"""What Telegram tells of groups: nobody stays where it is not listed, who was put out comes back without a reload."""

from __future__ import annotations

import asyncio

from tests.cases import CHAT
from tests.house_kit import NAMES, Home, at_home

ALI = NAMES[0]
ELSEWHERE = -1001000000009


def test_a_bot_added_to_a_group_that_is_not_listed_leaves_without_a_word() -> None:
    async def work(home: Home) -> tuple[bool, int]:
        world = home.outside.telegram.world
        group = world.add_group(ELSEWHERE, "Başka", bots=[], admins=[])
        world.membership(group, world.bots[home.id(ALI)], "member")
        await asyncio.sleep(400)  # the round of the idle bots
        return home.id(ALI) in group.members, sum(line.chat == ELSEWHERE for line in home.lines())

    assert at_home(work) == (False, 0)


def test_a_bot_that_was_put_out_is_silent_and_speaks_when_it_is_added_again() -> None:
    async def work(home: Home) -> tuple[int, int]:
        world = home.outside.telegram.world
        group, bot = world.groups[CHAT], world.bots[home.id(ALI)]
        world.membership(group, bot, "kicked")
        await asyncio.sleep(400)
        before = len(home.lines(ALI))
        await asyncio.sleep(600)
        silent = len(home.lines(ALI)) - before
        world.membership(group, bot, "administrator")
        await asyncio.sleep(1500)
        return silent, len(home.lines(ALI)) - before

    silent, said = at_home(work)
    assert silent == 0
    assert said > 0

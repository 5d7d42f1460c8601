"""Processes on one virtual loop: killed ones run nothing more, paused ones go on where they were."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from piyasad.simulation.fuzz.process import Process, ProcessClock, ProcessLoop


def play(work: Callable[[ProcessLoop], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ProcessLoop)
        await work(loop)

    loop = ProcessLoop()
    try:
        loop.run_until_complete(main())
    finally:
        loop.close()


async def beat(said: list[float], every: float = 1.0) -> None:
    try:
        while True:
            said.append(asyncio.get_running_loop().time())
            await asyncio.sleep(every)
    finally:
        said.append(-1.0)


def test_a_killed_process_runs_nothing_more_not_even_its_finally() -> None:
    async def work(loop: ProcessLoop) -> None:
        one, two = Process(loop, "one"), Process(loop, "two")
        first: list[float] = []
        second: list[float] = []
        one.start(beat(first))
        two.start(beat(second))
        await asyncio.sleep(2.5)
        one.kill()
        await asyncio.sleep(2.0)
        assert first == [0.0, 1.0, 2.0]
        assert second == [0.0, 1.0, 2.0, 3.0, 4.0]
        for process in (one, two):
            process.bury()
        await asyncio.sleep(1.0)
        assert first[-1] == second[-1] == -1.0

    play(work)


def test_a_task_of_a_process_belongs_to_it_and_so_does_what_it_waits_for() -> None:
    async def work(loop: ProcessLoop) -> None:
        process = Process(loop, "one")
        answer: asyncio.Future[str] = loop.create_future()
        said: list[str] = []

        async def inner() -> None:
            said.append(await answer)

        async def main() -> None:
            await asyncio.gather(asyncio.create_task(inner()), asyncio.sleep(1))

        process.start(main())
        await asyncio.sleep(0.5)
        process.kill()
        answer.set_result("too late")
        await asyncio.sleep(5)
        assert said == []
        process.bury()
        await asyncio.sleep(1)

    play(work)


@pytest.mark.parametrize(
    ("suspended", "beats"), [(True, [0.0, 1.0, 2.0, 13.0, 14.0]), (False, [0.0, 1.0, 2.0, 12.5, 13.5])]
)
def test_a_paused_process_goes_on_where_it_was(suspended: bool, beats: list[float]) -> None:
    async def work(loop: ProcessLoop) -> None:
        process = Process(loop, "one")
        clock = ProcessClock(loop, process, 1000.0)
        said: list[float] = []
        process.start(beat(said))
        await asyncio.sleep(2.5)
        process.pause()
        await asyncio.sleep(10.0)
        process.resume(suspended=suspended)
        await asyncio.sleep(2.0)
        assert said == beats
        assert clock.boot() == 14.5
        assert clock.mono() == (4.5 if suspended else 14.5)
        assert clock.wall() == 1014.5
        process.bury()
        await asyncio.sleep(1)

    play(work)


def test_what_comes_while_it_is_paused_is_found_afterwards() -> None:
    async def work(loop: ProcessLoop) -> None:
        process = Process(loop, "one")
        answer: asyncio.Future[str] = loop.create_future()
        said: list[tuple[str, float]] = []

        async def main() -> None:
            said.append((await answer, loop.time()))

        process.start(main())
        await asyncio.sleep(1)
        process.pause()
        answer.set_result("answer")
        process.call(lambda: said.append(("signal", loop.time())))
        await asyncio.sleep(5)
        assert said == []
        process.resume(suspended=True)
        await asyncio.sleep(1)
        assert said == [("answer", 6.0), ("signal", 6.0)]

    play(work)


def test_one_that_is_killed_by_its_own_callback_leaves_the_others_their_turn() -> None:
    async def work(loop: ProcessLoop) -> None:
        one, two = Process(loop, "one"), Process(loop, "two")
        said: list[str] = []
        one.call(lambda: said.append("one"))
        loop.call_soon(one.kill)
        for n in range(3):
            one.call(lambda n=n: said.append(f"one {n}"))  # type: ignore[misc]
            two.call(lambda n=n: said.append(f"two {n}"))  # type: ignore[misc]
        await asyncio.sleep(1)
        assert said == ["one", "two 0", "two 1", "two 2"]

    play(work)


def test_a_timeout_that_was_cancelled_while_its_process_was_paused_does_not_fire() -> None:
    async def work(loop: ProcessLoop) -> None:
        process = Process(loop, "one")
        done: asyncio.Future[None] = loop.create_future()
        said: list[str] = []

        async def main() -> None:
            try:
                async with asyncio.timeout(2.0):
                    await done
                said.append("done")
            except TimeoutError:
                said.append("late")

        process.start(main())
        await asyncio.sleep(1)
        process.pause()
        await asyncio.sleep(1)
        done.set_result(None)
        await asyncio.sleep(1)
        process.resume(suspended=True)
        await asyncio.sleep(5)
        assert said == ["done"]

    play(work)

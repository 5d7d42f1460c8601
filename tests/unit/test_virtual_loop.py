"""The virtual loop: time jumps, ties keep their order, threads and servers of the outside move no timer."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from piyasad.clock import LoopClock
from piyasad.simulation.loop import RESOLUTION, VirtualLoop

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def virtual() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def test_a_year_of_waiting_takes_a_moment_and_is_exact() -> None:
    async def work() -> float:
        for _ in range(365):
            await asyncio.sleep(86_400.1)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run(work()) == pytest.approx(365 * 86_400.1, abs=1e-4)
    assert time.monotonic() - began < 5


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=300))
def test_timers_of_one_moment_fire_in_the_order_in_which_they_were_set(timers: list[tuple[int, bool]]) -> None:
    async def work() -> list[tuple[int, int]]:
        loop = asyncio.get_running_loop()
        fired: list[tuple[int, int]] = []
        handles = [loop.call_at(1.0 + when, fired.append, (when, n)) for n, (when, _) in enumerate(timers)]
        for handle, (_, cancelled) in zip(handles, timers, strict=True):
            if cancelled:
                handle.cancel()
        await asyncio.sleep(10)
        return fired

    kept = [(when, n) for n, (when, cancelled) in enumerate(timers) if not cancelled]
    assert run(work()) == sorted(kept)


def test_what_goes_to_a_thread_ends_at_the_same_virtual_moment() -> None:
    async def work() -> tuple[float, list[str]]:
        loop = asyncio.get_running_loop()
        said: list[str] = []
        loop.call_later(0.5, said.append, "timer")
        said.append(await asyncio.to_thread(str.upper, "thread"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return loop.time(), said

    assert run(work()) == (0.0, ["THREAD"])


def test_time_stands_still_while_a_real_server_is_asked() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await asyncio.to_thread(time.sleep, 0.05)
        writer.write(b"answer\n")
        writer.close()

    async def work() -> tuple[bytes, float]:
        loop = virtual()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        loop.call_later(0.001, lambda: None)  # a timer that would be jumped to
        with loop.outside():
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"question\n")
            answer = await reader.readline()
            at = loop.time()
        writer.close()
        server.close()
        return answer, at

    assert run(work()) == (b"answer\n", 0.0)


def test_setting_the_wall_clock_moves_no_other_clock() -> None:
    async def work() -> tuple[float, float, float]:
        clock = LoopClock(asyncio.get_running_loop(), 1000.0)
        await asyncio.sleep(5)
        clock.jump(-60)
        return clock.wall(), clock.mono(), clock.boot()

    assert run(work()) == (945.0, 5.0, 5.0)


def test_ten_thousand_tasks_meet_in_the_same_order_every_time() -> None:
    async def work() -> list[int]:
        rng = random.Random(1)
        order: list[int] = []

        async def one(n: int) -> None:
            for _ in range(5):
                try:
                    async with asyncio.timeout(rng.randrange(1, 4)):
                        await asyncio.sleep(rng.randrange(1, 4))
                except TimeoutError:
                    order.append(-n)
                order.append(n)

        async with asyncio.TaskGroup() as group:
            for n in range(1000):
                group.create_task(one(n))
        return order

    assert run(work()) == run(work())


def test_who_waits_for_the_rest_of_a_moment_sees_it_come() -> None:
    """A timer fires a little early; what is left is less than the loop tells apart, and must pass all the same."""

    async def work() -> None:
        loop = virtual()
        until = loop.time() + 1.0
        await asyncio.sleep(1.0 - RESOLUTION / 2)
        for _ in range(3):
            other = asyncio.ensure_future(asyncio.sleep(0))  # while others have work the loop does not jump
            await asyncio.sleep(until - loop.time())
            await other
        assert loop.time() >= until

    run(work())

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from spotd.loops.lag import LoopLag


@contextmanager
def sampling(lag: LoopLag) -> Iterator[LoopLag]:
    lag.start()
    try:
        yield lag
    finally:
        lag.stop()


@pytest.fixture
async def lag() -> AsyncIterator[LoopLag]:
    with sampling(LoopLag(beat=0.01, stall=0.02)) as sampled:
        await asyncio.sleep(0.02)
        yield sampled


async def block(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - the stall under test
    await asyncio.sleep(0.03)


async def test_a_stall_is_measured_and_its_task_named(lag: LoopLag) -> None:
    """Work that holds the loop shows as lag, with the task and the line that held it."""
    async with asyncio.TaskGroup() as group:
        group.create_task(block(0.15), name="greedy")

    assert lag.longest() >= 0.1
    assert lag.slowest()[0].task == "greedy"
    assert "in block" in lag.slowest()[0].where


async def test_an_idle_loop_does_not_lag() -> None:
    """Waiting is no stall."""
    with sampling(LoopLag(beat=0.005, stall=10)) as lag:
        await asyncio.sleep(0.05)

        assert lag.slowest() == []
        assert lag.snapshot()["event_loop.stalls_total"] == 0


@pytest.mark.looptime
async def test_a_stall_is_forgotten_after_the_window() -> None:
    """Only the last minute counts, so health recovers by itself."""
    lag = LoopLag(window=60)
    lag._note(asyncio.get_running_loop().time(), 2.0)
    await asyncio.sleep(59)
    assert lag.longest() == 2.0

    await asyncio.sleep(2)

    assert lag.longest() == 0.0
    assert lag.slowest() == []


@pytest.mark.looptime
async def test_the_longest_of_the_window_wins_whatever_came_after() -> None:
    """A shorter stall does not hide a longer one, and takes over when that one is forgotten."""
    lag = LoopLag(window=60)
    lag._note(asyncio.get_running_loop().time(), 2.0)
    await asyncio.sleep(30)
    lag._note(asyncio.get_running_loop().time(), 0.5)
    assert lag.longest() == 2.0

    await asyncio.sleep(31)

    assert lag.longest() == 0.5


async def test_nothing_is_left_behind_after_stop() -> None:
    """Stopping ends the beats and the watching thread."""
    with sampling(LoopLag()) as lag:
        assert lag.running

    assert not lag.running

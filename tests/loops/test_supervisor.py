import asyncio
from collections.abc import Awaitable, Callable

import pytest

from spotd.errors import NotFound, StoreUnavailable
from spotd.loops.supervisor import Loop, Supervisor, settled, sheltered

pytestmark = pytest.mark.looptime


def at() -> float:
    return round(asyncio.get_running_loop().time(), 3)


def make(tick: Callable[[], Awaitable[object]], **options: object) -> Loop:
    return Loop(**{"name": "x", "tick": tick, "period": 10, "deadline": 5, **options})


async def run_for(supervisor: Supervisor, seconds: float) -> None:
    async def stop_later() -> None:
        await asyncio.sleep(seconds)
        supervisor.stop()

    async with asyncio.TaskGroup() as group:
        group.create_task(stop_later())
        group.create_task(supervisor.run())


async def test_a_loop_ticks_on_its_period_not_after_it() -> None:
    """The time a tick takes is part of the period."""
    seen: list[float] = []

    async def tick() -> None:
        seen.append(at())
        await asyncio.sleep(4)

    await run_for(Supervisor([make(tick, period=30, deadline=20)]), 100)

    assert seen == [0, 30, 60, 90]


async def test_a_broken_loop_backs_off_and_leaves_others_alone() -> None:
    """One loop's failures follow its own delays; its neighbour keeps its period."""
    good_at: list[float] = []
    bad_at: list[float] = []

    async def good() -> None:
        good_at.append(at())

    async def bad() -> None:
        bad_at.append(at())
        raise StoreUnavailable

    loops = [make(good, name="good"), make(bad, name="bad", delays=(1, 2, 5))]
    supervisor = Supervisor(loops)
    await run_for(supervisor, 25)

    assert good_at == [0, 10, 20]
    assert bad_at[:5] == [0, 1, 3, 8, 13]
    assert supervisor.pulses["bad"].last_error == StoreUnavailable.__doc__


async def test_a_dependency_that_is_down_is_retried_for_ever() -> None:
    """However often the database is away, the loop never gives up."""
    passes: list[float] = []

    async def tick() -> None:
        passes.append(at())
        raise StoreUnavailable

    await run_for(Supervisor([make(tick, delays=(1,), give_up_after=3)]), 50)

    assert len(passes) == 50


async def test_a_bug_that_repeats_ends_the_run() -> None:
    """A loop that keeps raising what no dependency raises takes the process down."""
    cleaned: list[float] = []

    async def buggy() -> None:
        raise KeyError("bug")

    async def good() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            cleaned.append(at())

    loops = [make(buggy, name="buggy", delays=(1,), give_up_after=3), make(good, name="good", deadline=5000)]
    with pytest.raises(ExceptionGroup):
        await run_for(Supervisor(loops), 100)

    assert cleaned == [2]


async def test_a_hung_tick_is_cut_at_its_deadline_and_retried() -> None:
    """A tick that never returns is cancelled at its deadline."""
    seen: list[float] = []

    async def tick() -> None:
        seen.append(at())
        await asyncio.sleep(1e6)

    await run_for(Supervisor([make(tick, delays=(1,))]), 20)

    assert seen == [0, 6, 12, 18]


async def test_recovery_resets_the_back_off() -> None:
    """After a good pass the loop is on its period again and its pulse is clean."""
    seen: list[float] = []

    async def tick() -> None:
        seen.append(at())
        if len(seen) < 3:
            raise StoreUnavailable

    supervisor = Supervisor([make(tick, delays=(1, 2, 5))])
    await run_for(supervisor, 25)

    assert seen == [0, 1, 3, 13, 23]
    assert (supervisor.pulses["x"].failures, supervisor.pulses["x"].last_error) == (0, None)


async def test_wake_runs_the_next_pass_now() -> None:
    """A woken loop does not wait for its period."""
    seen: list[float] = []

    async def tick() -> None:
        seen.append(at())

    supervisor = Supervisor([make(tick, period=60)])

    async def poke() -> None:
        await asyncio.sleep(7)
        supervisor.wake("x")

    async with asyncio.TaskGroup() as group:
        group.create_task(poke())
        group.create_task(run_for(supervisor, 30))

    assert seen == [0, 7]


async def test_tick_now_answers_with_the_result_after_a_running_tick() -> None:
    """A tick on demand waits for the one under way and returns its own result."""
    seen: list[float] = []

    async def tick() -> float:
        seen.append(at())
        await asyncio.sleep(3)
        return at()

    supervisor = Supervisor([make(tick, period=60)])
    answers: list[object] = []

    async def ask() -> None:
        await asyncio.sleep(1)
        answers.append(await supervisor.tick_now("x"))

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        group.create_task(run_for(supervisor, 30))

    assert seen == [0, 3]
    assert answers == [6]


async def test_tick_now_of_an_unknown_loop_names_the_known_ones() -> None:
    """A wrong name is a clear error."""

    async def tick() -> None:
        return None

    with pytest.raises(NotFound, match="loops: x"):
        await Supervisor([make(tick)]).tick_now("y")


async def test_stop_gives_a_running_tick_its_grace() -> None:
    """A loop with grace finishes its tick; one without is cancelled at once."""
    ended: dict[str, float] = {}

    def ticking(name: str) -> Callable[[], Awaitable[None]]:
        async def tick() -> None:
            try:
                await asyncio.sleep(8)
            finally:
                ended[name] = at()

        return tick

    loops = [make(ticking("kind"), name="kind", deadline=99, grace=5), make(ticking("cut"), name="cut", deadline=99)]
    await run_for(Supervisor(loops), 4)

    assert ended == {"cut": 4, "kind": 8}
    assert at() == 8


async def test_a_loop_stuck_past_its_deadline_is_overdue() -> None:
    """A loop whose pulse stands still for three periods is named to the watchdog."""

    async def tick() -> None:
        while True:
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                if at() > 300:
                    raise

    supervisor = Supervisor([make(tick)])
    seen: list[list[str]] = []

    async def look() -> None:
        for _ in range(2):
            await asyncio.sleep(60)
            seen.append(supervisor.overdue())

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
        group.create_task(run_for(supervisor, 400))

    assert seen == [[], ["x"]]


async def test_settled_returns_each_outcome_in_order() -> None:
    """One sibling failing cancels none; the limit holds; a deadline counts from each one's own start."""
    running: list[int] = []

    async def job(number: int) -> int:
        running.append(number)
        assert len(running) <= 2
        try:
            await asyncio.sleep({3: 50}.get(number, 1))
            if number == 1:
                raise ValueError("broken")
            return number
        finally:
            running.remove(number)

    outcomes = await settled([job(number) for number in range(5)], limit=2, deadline=5)

    assert [outcome.value for outcome in outcomes] == [0, None, 2, None, 4]
    assert isinstance(outcomes[1].error, ValueError)
    assert isinstance(outcomes[3].error, TimeoutError)


async def test_cancelling_settled_cancels_every_sibling() -> None:
    """Nothing started by `settled` outlives it."""
    ended: list[int] = []

    async def job(number: int) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(number)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await settled([job(1), job(2), job(3)], limit=2)

    assert sorted(ended) == [1, 2]


async def test_what_is_sheltered_ends_before_the_cancellation_goes_on() -> None:
    """A cancelled caller still sees its outcome written, however often it is cancelled."""
    written: list[float] = []

    async def write() -> None:
        await asyncio.sleep(3)
        written.append(at())

    async def caller() -> None:
        await sheltered(write())

    task = asyncio.get_running_loop().create_task(caller())
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert written == [3]

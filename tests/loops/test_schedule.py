import asyncio

import pytest

from spotd.loops.schedule import Schedule

pytestmark = pytest.mark.looptime


def at() -> float:
    return round(asyncio.get_running_loop().time(), 3)


async def test_keys_come_in_the_order_they_fall_due() -> None:
    """The sooner key is handed out first, at its time."""
    schedule: Schedule[str] = Schedule()
    schedule.put("late", 9)
    schedule.put("soon", 4)

    assert [(await schedule.claim(60), at()) for _ in range(2)] == [("soon", 4), ("late", 9)]


async def test_patience_ends_an_empty_wait() -> None:
    """With nothing due a claim returns None after its patience."""
    schedule: Schedule[str] = Schedule()
    schedule.put("far", 100)

    assert (await schedule.claim(5), at()) == (None, 5)


async def test_putting_a_key_again_keeps_the_sooner_time() -> None:
    """A later time never delays a key; a sooner one brings it forward."""
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 10)
    schedule.put("a", 30)
    schedule.put("b", 10)
    schedule.put("b", 2)

    assert [(await schedule.claim(60), at()) for _ in range(2)] == [("b", 2), ("a", 10)]
    assert await schedule.claim(60) is None


async def test_a_claimed_key_is_never_handed_out_twice() -> None:
    """What is put while claimed waits for the release."""
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 0)
    await schedule.claim(1)
    schedule.put("a", 0)

    assert await schedule.claim(1) is None
    schedule.release("a")
    assert await schedule.claim(1) == "a"


async def test_a_put_wakes_a_waiting_claim() -> None:
    """A key that falls due sooner than the one waited for is seen at once."""
    schedule: Schedule[str] = Schedule()
    schedule.put("far", 50)

    async def put_later() -> None:
        await asyncio.sleep(3)
        schedule.put("now", 0)

    async with asyncio.TaskGroup() as group:
        group.create_task(put_later())
        assert (await schedule.claim(60), at()) == ("now", 3)


async def test_a_discarded_key_is_gone_even_while_claimed() -> None:
    """A forgotten key is neither handed out nor due again after its release."""
    schedule: Schedule[str] = Schedule()
    schedule.put("a", 0)
    schedule.put("b", 5)
    await schedule.claim(1)
    schedule.put("a", 1)
    schedule.discard(lambda _: True)
    schedule.release("a")

    assert await schedule.claim(20) is None
    assert len(schedule) == 0

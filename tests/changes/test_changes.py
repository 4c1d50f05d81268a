"""The log of changes: order, resuming, and what happens to the slow."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.changes import Change, Changes, Gap


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


def log(capacity: int = 1000) -> Changes:
    return Changes(capacity, clock=FixedClock())


async def everything(changes: Changes, after: int | None) -> list[Change | Gap]:
    changes.close()
    return [each async for each in changes.subscribe(after)]


async def test_a_change_carries_its_facts_and_time() -> None:
    """What is published comes out as it was, numbered from 1."""
    changes = log()

    assert changes.publish("account.status", account_id="123456789012", status="active") == 1

    [change] = await everything(changes, 0)
    assert change == Change(1, "account.status", {"account_id": "123456789012", "status": "active"}, FixedClock().now())


async def test_a_subscriber_starts_from_now() -> None:
    """Without a place to resume from, only later changes arrive."""
    changes = log()
    changes.publish("before")
    subscription = changes.subscribe()
    changes.publish("after")

    assert (await anext(subscription)).sequence == 2


@pytest.mark.looptime
async def test_waiting_ends_with_the_next_change() -> None:
    """Every waiting subscriber gets it."""
    changes = log()
    async with asyncio.TaskGroup() as group, asyncio.timeout(1):
        waiting = [group.create_task(anext(changes.subscribe())) for _ in range(3)]
        await asyncio.sleep(0)
        changes.publish("prices")

    assert [task.result().sequence for task in waiting] == [1, 1, 1]


@pytest.mark.looptime
async def test_closing_ends_who_waits() -> None:
    """Closing one subscription ends it alone; closing the log ends all."""
    changes = log()
    one, other = changes.subscribe(), changes.subscribe()

    async def drain(subscription: object) -> list[object]:
        return [each async for each in subscription]  # type: ignore[attr-defined] # both are subscriptions

    async with asyncio.TaskGroup() as group, asyncio.timeout(1):
        first, second = group.create_task(drain(one)), group.create_task(drain(other))
        await asyncio.sleep(0)
        one.close()
        await asyncio.sleep(0)
        changes.publish("last")
        await asyncio.sleep(0)
        changes.close()

    assert first.result() == []
    assert [each.sequence for each in second.result()] == [1]  # type: ignore[attr-defined] # a change


async def test_a_sequence_of_another_epoch_is_a_gap() -> None:
    """Whoever resumes from beyond the newest change is told to read anew, then goes on."""
    changes = log()
    changes.publish("one")

    assert await everything(changes, 99) == [Gap(99, 1)]
    assert log().epoch != changes.epoch


@given(
    capacity=st.integers(min_value=1, max_value=8),
    steps=st.lists(st.one_of(st.just("read"), st.integers(min_value=1, max_value=12)), max_size=30),
)
async def test_no_change_is_lost_or_repeated_unannounced(capacity: int, steps: list[str | int]) -> None:
    """However reads and bursts mix, a subscriber's changes and gaps follow each other without a hole."""
    changes = log(capacity)
    subscription = changes.subscribe(0)
    seen: list[Change | Gap] = []
    for step in steps:
        if isinstance(step, int):
            for _ in range(step):
                changes.publish("topic")
        elif (seen[-1].sequence if seen else 0) < changes.sequence:
            seen.append(await anext(subscription))
    changes.close()
    seen += [each async for each in subscription]

    place = 0
    for each in seen:
        if isinstance(each, Gap):
            assert each.after == place
            assert each.sequence - place > capacity
        else:
            assert each.sequence == place + 1
        place = each.sequence
    assert place == sum(step for step in steps if isinstance(step, int))

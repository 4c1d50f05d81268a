import asyncio

import pytest

from spotd.store import inbox, instances, logs
from tests.aws.fakes import instance, page, refusal
from tests.loops.events.conftest import (
    OURS,
    World,
    event,
    instance_id,
    interruption,
    state_change,
)


async def take(world: World, *raw: str) -> None:
    for each in raw:
        await world.consumer.ingest(each, "api")


async def test_a_state_change_makes_the_instance_looked_up(world: World) -> None:
    """AWS's own answer is stored, not the event's word."""
    await world.onboard()
    world.fake.on("DescribeInstances", page(instance(instance_id(), state="stopped")))
    await take(world, state_change("stopping"))

    assert await world.consumer.handle() == 1
    assert await world.state() == "stopped"
    assert await world.results() == ["looked up"]


async def test_a_new_instance_is_in_the_inventory_before_the_next_scan(world: World) -> None:
    """A state change of an instance not seen before brings it in."""
    await world.onboard()
    world.fake.on("DescribeInstances", page(instance(instance_id(2))))
    await take(world, state_change("running", **{"instance-id": instance_id(2)}))
    await world.consumer.handle()

    assert await world.state(instance_id(2)) == "running"


async def test_a_terminated_instance_becomes_a_tombstone(world: World) -> None:
    """Both where AWS still shows it and where it is gone from AWS already."""
    account = await world.onboard()
    await world.listed(account, instance_id(), instance_id(2))
    world.fake.on("DescribeInstances", page(instance(instance_id(), state="terminated")))
    await take(
        world,
        state_change("terminated"),
        state_change("terminated", key="e-2", **{"instance-id": instance_id(2)}),
    )

    assert await world.consumer.handle() == 2
    for number in (1, 2):
        [stored] = await instances.by_ids(world.db, [instance_id(number)])
        assert stored.terminated_at is not None
    assert await world.results() == ["looked up", "taken for terminated"]


async def test_many_state_changes_of_a_region_are_one_call(world: World) -> None:
    """A storm of events is no storm of describes."""
    account = await world.onboard()
    await world.listed(account, *(instance_id(n) for n in range(50)))
    world.fake.on("DescribeInstances", page(*(instance(instance_id(n), state="stopped") for n in range(50))))
    await take(world, *(state_change("stopped", key=f"e-{n}", **{"instance-id": instance_id(n)}) for n in range(50)))

    assert await world.consumer.handle() == 50
    assert len(world.fake.calls("DescribeInstances")) == 1


async def test_where_aws_does_not_answer_the_events_word_stands(world: World) -> None:
    """The event is a hint that the next scan confirms; it is not lost and does not wait."""
    await world.onboard()
    world.fake.on("DescribeInstances", refusal("UnauthorizedOperation", status=403))
    await take(world, state_change("stopping"))

    assert await world.consumer.handle() == 1
    assert await world.state() == "stopping"
    assert await world.results() == ["taken for stopping"]
    assert world.consumer.snapshot()["events.lookups_failed_total"] == 1


async def test_without_an_answer_the_newest_word_wins_whatever_the_order(world: World) -> None:
    """Events that overtake each other end in the state that came last at AWS."""
    await world.onboard()
    world.fake.on("DescribeInstances", refusal("UnauthorizedOperation", status=403))
    later = world.clock.now()
    world.clock.forward(30)
    await take(
        world,
        state_change("stopped", time=later),
        state_change("stopping", key="e-2", time=later.replace(hour=20, minute=59)),
    )
    await world.consumer.handle()
    assert await world.state() == "stopped"

    await take(world, state_change("running", key="e-3", time=later.replace(hour=20, minute=58)))
    await world.consumer.handle()
    assert await world.state() == "stopped"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (interruption(), f"Spot interruption warning (terminate) for {instance_id()} in us-east-1"),
        (
            event("EC2 Instance Rebalance Recommendation"),
            f"Spot rebalance recommendation for {instance_id()} in us-east-1",
        ),
    ],
)
async def test_a_spot_notice_leaves_one_row_for_people(world: World, raw: str, message: str) -> None:
    """However often it came and was handled; the instance stays what it is."""
    await world.onboard()
    await take(world, raw, raw)
    assert await world.consumer.handle() == 1
    assert await world.consumer.handle() == 0

    [row] = await logs.recent(world.db, "events")
    assert (row.level, row.message) == ("info", message)
    assert row.details["account_id"] == OURS
    assert await world.state() == "running"
    assert await world.results() == ["noted"]


async def test_handlers_side_by_side_have_one_effect(world: World) -> None:
    """Whoever marks the event first has the effect; the other has none."""
    await world.onboard()
    await take(world, *(interruption(key=f"e-{n}") for n in range(20)))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(world.consumer.handle())

    assert len(await logs.recent(world.db, "events", limit=100)) == 20
    assert await inbox.unprocessed(world.db) == ()


async def test_an_event_that_cannot_be_handled_steps_aside_after_three_attempts(world: World) -> None:
    """The others are handled at once; the one that fails ends in the quarantine, where a person finds it."""
    await world.onboard()
    world.fake.on("DescribeInstances", refusal("UnauthorizedOperation", status=403))
    await take(world, state_change(), interruption(key="e-2"))
    await world.db.execute("UPDATE inbox SET state = 'melting' WHERE kind = 'state_change'")

    assert [await world.consumer.handle() for _ in range(3)] == [1, 0, 0]

    assert await inbox.unprocessed(world.db) == ()
    [kept] = (await inbox.list_quarantine(world.db)).items
    assert kept.kind == "state_change"
    assert "melting" in kept.reason
    assert world.consumer.snapshot()["events.failed_total"] == 1


async def test_our_own_events_need_nothing_done(world: World) -> None:
    """They travel the same way, and are done once they are told."""
    await take(
        world,
        '{"source": "spotd", "detail-type": "spotd.canary", "id": "c-1", "time": "2026-11-23T21:00:00Z", "detail": {}}',
    )

    assert await world.consumer.handle() == 1
    assert await world.results() == ["told"]

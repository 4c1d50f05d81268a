import json

import pytest

from spotd.aws.errors import AwsError
from spotd.errors import StoreUnavailable
from spotd.store import inbox
from tests.aws.fakes import js
from tests.loops.events.conftest import World, interruption, state_change

POISON = '{"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification", "id": "e-9"}'


async def test_a_message_leaves_its_queue_once_it_is_durable(world: World) -> None:
    """The rows are there before the delete is sent."""
    await world.onboard()
    world.queue.put(interruption(), state_change(key="e-2"))

    assert await world.receiver.receive() == 2
    assert world.queue.messages == {}
    assert await world.count("inbox") == 2
    assert [stored.source for stored in await inbox.unprocessed(world.db)] == ["sqs:spotd-events"] * 2


async def test_what_the_store_does_not_take_stays_in_its_queue(world: World) -> None:
    """Nothing is deleted and nothing is lost; the next receive takes it."""
    await world.onboard()
    world.queue.put(interruption())
    await world.db.execute("ALTER TABLE inbox RENAME TO elsewhere")
    with pytest.raises(Exception, match="inbox"):
        await world.receiver.receive()
    assert len(world.queue.messages) == 1
    assert world.fake.calls("DeleteMessageBatch") == []

    await world.db.execute("ALTER TABLE elsewhere RENAME TO inbox")
    assert await world.receiver.receive() == 1
    assert await world.count("inbox") == 1


async def test_a_poison_message_is_quarantined_after_three_receives(world: World) -> None:
    """It gets its chances, holds up nobody meanwhile, and leaves the queue only when it is kept."""
    await world.onboard()
    world.queue.put(POISON, interruption())

    assert await world.receiver.receive() == 1
    assert await world.receiver.receive() == 0
    assert list(world.queue.messages.values()) == [POISON]
    assert await world.count("event_quarantine") == 0

    assert await world.receiver.receive() == 1
    assert world.queue.messages == {}
    [kept] = (await inbox.list_quarantine(world.db)).items
    assert json.loads(kept.body)["id"] == "e-9"
    assert "/detail" in kept.reason
    assert await world.count("inbox") == 1


async def test_an_unknown_message_is_stored_and_leaves(world: World) -> None:
    """Other people's messages on a shared queue are kept, counted and harmless."""
    world.queue.put(json.dumps({"source": "aws.s3", "detail-type": "Object Created", "id": "o-1"}))

    assert await world.receiver.receive() == 1
    assert await world.count("inbox") == 1
    assert await inbox.unprocessed(world.db) == ()
    assert world.consumer.snapshot()["events.unknown_total"] == 1


async def test_a_message_that_comes_again_after_its_delete_was_lost_is_one_row(world: World) -> None:
    """SQS gives at least once; the store keeps once."""
    await world.onboard()
    world.queue.put(interruption())
    world.fake.on("DeleteMessageBatch", js({"Failed": [{"Id": "0", "Code": "InternalError"}]}))
    with pytest.raises(AwsError):
        await world.receiver.receive()
    world.queue.serve(world.fake)

    assert await world.receiver.receive() == 1
    assert await world.count("inbox") == 1
    assert world.consumer.snapshot()["events.duplicate_total"] == 1


async def test_health_reads_how_each_queue_does(world: World) -> None:
    """No receive yet, then a fresh one; the depth when asked; the error while SQS refuses."""
    [fresh] = world.consumer.queues()
    assert (fresh.name, fresh.silence, fresh.backlog) == ("spotd-events", None, None)

    await world.receiver.receive()
    world.queue.put("{}", "{}")
    await world.consumer.measure()
    [asked] = world.consumer.queues()
    assert asked.silence is not None
    assert asked.silence < 1
    assert asked.backlog == 2

    refused = {"__type": "com.amazonaws.sqs#AccessDenied", "message": "no"}
    world.fake.on("ReceiveMessage", js(refused, status=403)).on("GetQueueAttributes", js(refused, status=403))
    with pytest.raises(AwsError):
        await world.receiver.receive()
    await world.consumer.measure()
    [down] = world.consumer.queues()
    assert down.error is not None
    assert down.backlog is None


async def test_the_consumer_receives_on_several_loops_and_handles_on_one(world: World) -> None:
    """Receivers come per queue; handling and measuring are loops of their own."""
    assert [loop.name for loop in world.consumer.loops()] == [
        "events_receive/spotd-events/0",
        "events_receive/spotd-events/1",
        "events",
        "events_depth",
    ]


async def test_a_store_that_is_away_is_told_as_such(world: World) -> None:
    """So that the supervisor retries for ever and health shows it."""
    await world.onboard()
    world.queue.put(interruption())
    await world.db.close()

    with pytest.raises(StoreUnavailable):
        await world.receiver.receive()
    assert len(world.queue.messages) == 1

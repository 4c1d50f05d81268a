import json

import pytest

from spotd.changes import Change
from spotd.model.account import Status
from spotd.model.event import Outcome
from spotd.store import inbox
from tests.loops.events.conftest import NOW, OURS, World, event, instance_id, interruption, state_change

ACCEPTED, DUPLICATE, UNKNOWN = Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.UNKNOWN
QUARANTINED, STALE = Outcome.QUARANTINED, Outcome.STALE


async def outcomes(world: World, raw: str) -> list[Outcome]:
    return [verdict.outcome for verdict in await world.consumer.ingest(raw.encode(), "api")]


async def test_an_event_is_durable_told_and_waiting(world: World) -> None:
    """Once ingest returns, the row is there, the stream knows, and the handler is woken; nothing was acted on."""
    await world.onboard()
    stream = world.changes.subscribe()
    [verdict] = await world.consumer.ingest(interruption(), "api")

    assert verdict.outcome is ACCEPTED
    assert verdict.reason is None
    [stored] = await inbox.unprocessed(world.db)
    assert (stored.event.key, stored.source) == (f"e-1/{instance_id()}", "api")
    assert stored.event.body["detail"]["instance-action"] == "terminate"
    told = await anext(stream)
    assert isinstance(told, Change)
    assert told.facts["instance_ids"] == [instance_id()]
    assert world.woken == [None]
    assert world.consumer.snapshot()["events.accepted_total"] == 1


async def test_the_same_event_again_is_a_duplicate(world: World) -> None:
    """However often and by whatever way it comes, one row is all there is."""
    await world.onboard()
    assert await outcomes(world, interruption()) == [ACCEPTED]

    assert await outcomes(world, interruption()) == [DUPLICATE]
    assert await outcomes(world, f"[{interruption()},{interruption()}]") == [DUPLICATE, DUPLICATE]
    assert await world.count("inbox") == 1


async def test_every_event_of_an_array_has_its_own_verdict(world: World) -> None:
    """In the order they came: accepted, unknown, not understood, too old."""
    await world.onboard()
    old = interruption(key="e-2", time=NOW.replace(year=2025))
    strange = json.dumps({"source": "aws.s3", "detail-type": "Object Created", "id": "o-1"})
    raw = f'[{interruption()},{strange},{{"source": 1}},{old}]'

    assert await outcomes(world, raw) == [ACCEPTED, UNKNOWN, QUARANTINED, STALE]
    assert await world.count("inbox") == 3
    assert await world.count("event_quarantine") == 1
    assert len(await inbox.unprocessed(world.db)) == 1


@pytest.mark.parametrize("raw", ["", "{", "[1, 2]", "null", '"x"', '{"source": "aws.ec2"}', "[" * 100])
async def test_a_body_nobody_understands_is_kept_at_once(world: World, raw: str) -> None:
    """There is no queue it could come from again, so its only chance is the last."""
    assert set(await outcomes(world, raw)) == {QUARANTINED}
    assert await world.count("event_quarantine") >= 1
    assert await world.count("inbox") == 0


@pytest.mark.parametrize("status", [None, Status.PENDING])
async def test_an_account_that_is_not_onboarded_is_said_so(world: World, status: Status | None) -> None:
    """The event is accepted with the reason, and nothing is done about it."""
    if status is not None:
        await world.onboard(to=status)
    [verdict] = await world.consumer.ingest(state_change(), "api")

    assert verdict.outcome is ACCEPTED
    assert verdict.reason == f"account {OURS} is not onboarded; not acted on"
    assert await world.consumer.handle() == 1
    assert await world.results() == ["account not onboarded; not acted on"]
    assert world.fake.calls("DescribeInstances") == []


async def test_a_big_body_is_taken_in_as_well(world: World) -> None:
    """Hundreds of events in one request become hundreds of rows."""
    await world.onboard()
    raw = "[" + ",".join(state_change(key=f"e-{n}") for n in range(300)) + "]"

    assert await outcomes(world, raw) == [ACCEPTED] * 300
    assert await world.count("inbox") == 300


async def test_an_event_without_an_account_is_kept_and_not_acted_on(world: World) -> None:
    """Nobody knows whose it is."""
    [verdict] = await world.consumer.ingest(event("EC2 Instance Rebalance Recommendation", account=None), "api")

    assert verdict.outcome is ACCEPTED
    assert verdict.reason is not None
    assert await world.consumer.handle() == 1

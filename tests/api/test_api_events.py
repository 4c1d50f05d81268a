"""Events over HTTP."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from spotd.aws.events import read
from spotd.store import inbox
from spotd.store.inbox import Received
from tests.api.conftest import ACCOUNT, NOW, OTHER, Stage


def warning(number: int, account_id: str = ACCOUNT, **more: object) -> dict[str, object]:
    """Return one Spot interruption warning as EventBridge sends it."""
    instance = f"i-{number:017x}"
    return {
        "version": "0",
        "id": f"event-{number}",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": account_id,
        "time": "2026-11-23T20:59:30Z",
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1a:instance/{instance}"],
        "detail": {"instance-id": instance, "instance-action": "terminate"},
    } | more


async def stored(stage: Stage, *events: object) -> None:
    """Store events as the consumer does."""
    messages = [Received(verdict=each.verdict, body=each.body) for each in read(json.dumps(events), now=NOW)]
    await inbox.accept_all(stage.db, messages, source="test", received_at=NOW)


@pytest.mark.parametrize("path", ["/events", "/api/v1/events"])
async def test_posting_one_or_many(lite: Stage, path: str) -> None:
    """One event or an array is taken in; each gets its result in order."""
    one = await lite.client.post(path, warning(1))
    many = await lite.client.post(path, [warning(2), {"source": "x", "detail-type": "y"}, "poison"])

    assert one.status == 202
    assert set(one.body["results"][0]) == {"key", "outcome", "kind", "instance_ids", "reason"}
    assert [each["outcome"] for each in many.body["results"]] == ["accepted", "unknown", "quarantined"]
    assert lite.daemon.ingested[0][1].startswith("api:")


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 10_000])
async def test_poison_is_quarantined_not_refused(lite: Stage, raw: bytes) -> None:
    """What is no JSON is taken in and quarantined, so that a source does not send it for ever."""
    reply = await lite.client("POST", "/events", data=raw)

    assert (reply.status, [each["outcome"] for each in reply.body["results"]]) == (202, ["quarantined"])


async def test_posting_needs_the_scope(lite: Stage) -> None:
    """A token that may only read does not post events."""
    client = await lite.token("read")

    assert (await client.post("/events", warning(1))).status == 403


async def test_limited_token_posts_for_its_account_only(lite: Stage) -> None:
    """A limited token's events must be its own account's; nothing of a mixed body is taken in."""
    client = await lite.token("events", account_id=ACCOUNT)
    own = await client.post("/events", warning(1))
    mixed = await client.post("/events", [warning(2), warning(3, OTHER)])

    assert (own.status, mixed.status) == (202, 403)
    assert len(lite.daemon.ingested) == 1


async def test_inbox_is_listed_newest_first(stage: Stage) -> None:
    """The inbox comes newest first, with what became of each, and by kind and account."""
    await stored(stage, warning(1), warning(2, OTHER), {"source": "x", "detail-type": "y", "id": "z"})
    everything = (await stage.client.get("/api/v1/events")).body["items"]
    mine = (await stage.client.get(f"/api/v1/events?kind=interruption&account_id={ACCOUNT}")).body["items"]

    assert [item["outcome"] for item in everything] == ["unknown", "accepted", "accepted"]
    assert [item["instance_ids"] for item in mine] == [[f"i-{1:017x}"]]
    assert {"key", "kind", "outcome", "instance_ids", "time", "received_at"} <= set(mine[0])
    assert (mine[0]["time"], mine[0]["received_at"]) == ("2026-11-23T20:59:30Z", "2026-11-23T21:00:00Z")


async def test_events_of_another_account_are_hidden(stage: Stage) -> None:
    """A limited token lists its own account's events only."""
    await stored(stage, warning(1), warning(2, OTHER))
    limited = await stage.token("read", account_id=ACCOUNT)
    items = (await limited.get("/api/v1/events")).body["items"]

    assert [item["account_id"] for item in items] == [ACCOUNT]


async def test_quarantine_is_listed(stage: Stage) -> None:
    """The quarantine shows each message, why it is there and how often it came."""
    for _ in range(2):
        await stored(stage, "poison")
    [item] = (await stage.client.get("/api/v1/quarantine")).body["items"]

    assert (item["times"], item["body"]) == (2, "poison")
    assert item["reason"]


async def test_old_event_is_stale(lite: Stage) -> None:
    """An event older than its use is told as stale."""
    old = (NOW - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    reply = await lite.client.post("/events", warning(1, time=old))

    assert reply.body["results"][0]["outcome"] == "stale"


async def test_samples_are_taken_in(lite: Stage, data: Path) -> None:
    """Every recorded event is answered with an outcome, whatever is in it."""
    for sample in sorted((data / "events").rglob("*.json")):
        reply = await lite.client("POST", "/events", data=sample.read_bytes())
        assert reply.status == 202, sample
        assert reply.body["results"], sample

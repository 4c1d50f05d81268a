"""The inbox: durable before anything else, each key once, acted on once."""

from datetime import datetime, timedelta

import pytest

from spotd.model.account import Account
from spotd.model.event import Event, Outcome, Verdict
from spotd.store import accounts, inbox
from spotd.store.db import Database
from spotd.store.inbox import Received


def event(key: str, kind: str = "interruption", **facts: object) -> Event:
    """Return an understood message."""
    known: dict[str, object] = {
        "source": "aws.ec2",
        "detail_type": "EC2 Spot Instance Interruption Warning",
        "account_id": "123456789012",
        "region": "eu-west-1",
        "instance_ids": ("i-1",),
    }
    return Event(key=key, kind=kind, **{**known, **facts})  # type: ignore[arg-type]


def verdict(key: str, outcome: Outcome = Outcome.ACCEPTED, *, kind: str = "interruption", **facts: object) -> Verdict:
    """Return what a parser said of a message."""
    understood = event(key, kind, **facts)
    return Verdict(outcome=outcome, key=key, kind=kind, instance_ids=understood.instance_ids, event=understood)


def poison(key: str) -> Received:
    """Return a message that nobody understands."""
    return Received(verdict=Verdict(outcome=Outcome.QUARANTINED, key=key, reason="no JSON"), body="{broken")


async def accept(db: Database, one: Verdict, now: datetime) -> Outcome:
    """Make one message durable."""
    return await inbox.accept(db, one, source="api", raw='{"id": 1}', received_at=now)


async def test_a_message_comes_back_as_it_was_understood(db: Database, now: datetime) -> None:
    """Every field of an event, and its own text, is kept."""
    full = verdict(
        "e/i-1", action="terminate", state="running", time=now - timedelta(seconds=3), instance_ids=("i-1", "i-2")
    )
    assert await accept(db, full, now) is Outcome.ACCEPTED

    [stored] = (await inbox.list_page(db)).items
    assert full.event is not None
    assert stored.event == event(
        "e/i-1",
        action="terminate",
        state="running",
        time=now - timedelta(seconds=3),
        instance_ids=("i-1", "i-2"),
        body={"id": 1},
    )
    assert (stored.outcome, stored.source, stored.received_at) == (Outcome.ACCEPTED, "api", now)
    assert (stored.processed_at, stored.result) == (None, None)


async def test_a_key_is_stored_once(db: Database, now: datetime) -> None:
    """The same message again, in another delivery or in the same one, is a duplicate and changes nothing."""
    assert await accept(db, verdict("a"), now) is Outcome.ACCEPTED
    batch = [Received(verdict=verdict(key), body="{}") for key in ("a", "b", "b")]

    outcomes = await inbox.accept_all(db, batch, source="sqs", received_at=now + timedelta(seconds=1))

    assert outcomes == [Outcome.DUPLICATE, Outcome.ACCEPTED, Outcome.DUPLICATE]
    stored = (await inbox.list_page(db)).items
    assert [(one.event.key, one.source) for one in stored] == [("b", "sqs"), ("a", "api")]


async def test_only_what_is_accepted_waits(db: Database, now: datetime) -> None:
    """Unknown and stale messages are stored and counted, and nothing is done about them."""
    batch = [
        Received(verdict=verdict("a"), body="{}"),
        Received(verdict=verdict("u", Outcome.UNKNOWN, kind="unknown"), body="{}"),
        Received(verdict=verdict("s", Outcome.STALE), body="{}"),
        poison("p"),
    ]
    outcomes = await inbox.accept_all(db, batch, source="api", received_at=now)

    assert outcomes == [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.STALE, Outcome.QUARANTINED]
    assert [one.event.key for one in await inbox.unprocessed(db)] == ["a"]
    backlog = await inbox.backlog(db)
    assert (backlog.depth, backlog.oldest) == (1, now)
    assert await inbox.counts(db) == {
        ("interruption", Outcome.ACCEPTED): 1,
        ("unknown", Outcome.UNKNOWN): 1,
        ("interruption", Outcome.STALE): 1,
    }


async def test_poison_is_kept_once_and_counted(db: Database, now: datetime) -> None:
    """The same poison again makes no second row; it can be replayed and leave."""
    for n in range(3):
        [outcome] = await inbox.accept_all(db, [poison("p")], source="sqs", received_at=now + timedelta(seconds=n))
        assert outcome is Outcome.QUARANTINED
    await inbox.quarantine(db, key="q", reason="handled in vain", source="sqs", body="{}", received_at=now)

    q, p = (await inbox.list_quarantine(db)).items
    assert (p.times, p.reason, p.body, p.received_at) == (3, "no JSON", "{broken", now + timedelta(seconds=2))
    assert await inbox.quarantined(db, q.id) == q
    await inbox.release(db, q.id)
    assert await inbox.quarantined(db, q.id) is None
    assert (await inbox.backlog(db)).depth == 0


async def test_interruptions_come_first(db: Database, now: datetime) -> None:
    """Two minutes are short: an interruption passes everything that waited before it."""
    for n, kind in enumerate(["state_change", "rebalance", "interruption", "state_change", "interruption"]):
        await accept(db, verdict(f"{n}", kind=kind), now)

    assert [one.event.key for one in await inbox.unprocessed(db, limit=4)] == ["2", "4", "1", "0"]


async def test_a_message_is_acted_on_once(db: Database, now: datetime) -> None:
    """Of two who handle the same message one learns that it came too late."""
    await accept(db, verdict("a"), now)
    [stored] = await inbox.unprocessed(db)

    assert await inbox.mark_processed(db, stored.id, now=now, result="noted")
    assert not await inbox.mark_processed(db, stored.id, now=now + timedelta(seconds=1), result="again")

    [stored] = (await inbox.list_page(db)).items
    assert (stored.processed_at, stored.result) == (now, "noted")
    assert await inbox.unprocessed(db) == ()


async def test_effect_and_mark_stand_or_fall_together(db: Database, account: Account, now: datetime) -> None:
    """An effect whose message could not be marked is undone with it."""
    await accept(db, verdict("a"), now)
    [stored] = await inbox.unprocessed(db)

    async def handle() -> None:
        async with db.transaction() as tx:
            await accounts.set_metadata(tx, account.id, {"seen": stored.id})
            assert await inbox.mark_processed(tx, stored.id, now=now)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        await handle()

    assert await inbox.unprocessed(db) == (stored,)
    assert (await accounts.get(db, account.id)).metadata == {}


async def test_messages_are_listed_newest_first(db: Database, now: datetime) -> None:
    """Pages go back in time, filtered by kind and account, without repeating or leaving out any."""
    for n in range(5):
        await accept(db, verdict(f"{n}", kind="rebalance" if n % 2 else "interruption"), now)
    await accept(db, verdict("other", account_id="9" * 12), now)

    first = await inbox.list_page(db, kind="interruption", account_id="123456789012", limit=2)
    rest = await inbox.list_page(db, kind="interruption", account_id="123456789012", limit=2, cursor=first.next_cursor)

    assert [[one.event.key for one in page.items] for page in (first, rest)] == [["4", "2"], ["0"]]
    assert rest.next_cursor is None


async def test_a_body_that_is_no_object_is_kept_as_text(db: Database, now: datetime) -> None:
    """A stored message whose text is not an object, such as an unknown one cut short, can still be listed."""
    await inbox.accept(db, verdict("a", Outcome.UNKNOWN), source="api", raw="[1, 2", received_at=now)

    [stored] = (await inbox.list_page(db)).items
    assert stored.event.body == {"text": "[1, 2"}

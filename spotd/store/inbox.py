"""The inbox: messages made durable before they leave their queue, and acted on once, later.

The embedded queue is this table; `event_quarantine` keeps what nobody understood.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from spotd.model.event import Event, Outcome, Verdict
from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, maybe_when, to_json, when
from spotd.store.paging import Page, id_of, in_slices, page_of
from spotd.store.statements import load

SQL = load("inbox")

NEWEST = 2**62


class Received(Struct, frozen=True, kw_only=True):
    """A message to be made durable: how it was understood and its own text."""

    verdict: Verdict
    body: str


class StoredEvent(Struct, frozen=True, kw_only=True):
    """A message of the inbox; `source` is the way it came, `result` what was done about it."""

    id: int
    event: Event
    outcome: Outcome
    reason: str | None
    source: str
    received_at: datetime
    processed_at: datetime | None
    result: str | None


class Quarantined(Struct, frozen=True, kw_only=True):
    """A message that nobody understood, with why, and how often it came."""

    id: int
    key: str
    kind: str | None
    reason: str
    source: str
    body: str
    received_at: datetime
    times: int


class Backlog(Struct, frozen=True, kw_only=True):
    """How many accepted messages wait to be acted on, and since when the oldest does."""

    depth: int
    oldest: datetime | None


async def accept(db: Executor, verdict: Verdict, *, source: str, raw: str, received_at: datetime) -> Outcome:
    """Make one message durable and return what became of it: `duplicate` when its key is stored already."""
    [outcome] = await accept_all(db, [Received(verdict=verdict, body=raw)], source=source, received_at=received_at)
    return outcome


async def accept_all(
    db: Executor, messages: Sequence[Received], *, source: str, received_at: datetime
) -> list[Outcome]:
    """Make messages durable, all or none, and return what became of each, in order.

    What is quarantined goes to the quarantine; all else to the inbox, where only what is accepted waits to be acted on.
    """
    async with db.transaction() as tx:
        keys = [message.verdict.key for message in messages if message.verdict.event is not None]
        known = {row["key"] for row in await tx.fetch(SQL["known_keys"], to_json(keys))}
        outcomes = [_outcome(message.verdict, known) for message in messages]
        judged = list(zip(messages, outcomes, strict=True))
        rows = [_row(m, source, received_at) for m, outcome in judged if outcome not in _NOT_STORED]
        await tx.execute_many(SQL["insert_event"], rows)
        poison = [m for m, outcome in judged if outcome is Outcome.QUARANTINED]
        await tx.execute_many(SQL["quarantine_event"], [_poison(m, source, received_at) for m in poison])
        return outcomes


async def quarantine(
    db: Executor, *, key: str, reason: str, source: str, body: str, received_at: datetime, kind: str | None = None
) -> None:
    """Keep a message that nobody understands, or that cannot be handled; the same again is counted."""
    await db.execute(SQL["quarantine_event"], key, kind, reason, source, body, received_at)


async def list_page(
    db: Executor,
    *,
    kind: str | None = None,
    account_id: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[StoredEvent]:
    """Return messages, the newest first; raises InvalidInput for a cursor we did not make."""
    before = id_of(cursor, default=NEWEST)
    sql, args = SQL.filtered("list_events", before=before, kind=kind, account_id=account_id, limit=limit + 1)
    items = await in_slices(_stored, await db.fetch(sql, *args))
    return page_of(items, limit, lambda stored: (stored.id,))


async def list_quarantine(db: Executor, *, limit: int = 100, cursor: str | None = None) -> Page[Quarantined]:
    """Return what nobody understood, the newest first; raises InvalidInput for a cursor we did not make."""
    rows = await db.fetch(SQL["list_quarantine"], id_of(cursor, default=NEWEST), limit + 1)
    return page_of([_quarantined(row) for row in rows], limit, lambda item: (item.id,))


async def quarantined(db: Executor, id: int) -> Quarantined | None:  # noqa: A002 - it is the column's name
    """Return one message that nobody understood, to replay it."""
    row = await db.fetch_one(SQL["get_quarantined"], id)
    return None if row is None else _quarantined(row)


async def release(db: Executor, id: int) -> None:  # noqa: A002
    """Let a message leave the quarantine, because it was replayed."""
    await db.execute(SQL["delete_quarantined"], id)


async def unprocessed(db: Executor, *, limit: int = 100) -> tuple[StoredEvent, ...]:
    """Return accepted messages that wait to be acted on: interruptions first, then the oldest."""
    return tuple(await in_slices(_stored, await db.fetch(SQL["unprocessed"], limit)))


async def mark_processed(db: Executor, id: int, *, now: datetime, result: str = "done") -> bool:  # noqa: A002
    """Say what was done about a message; False if somebody did before.

    Called in the transaction of the effects, it makes them happen exactly once: on False, raise and roll back.
    """
    return await db.execute(SQL["mark_processed"], id, now, result) == 1


async def backlog(db: Executor) -> Backlog:
    """Return how much waits to be acted on."""
    row = await db.fetch_one(SQL["backlog"])
    assert row is not None
    return Backlog(depth=row["depth"], oldest=maybe_when(row["oldest"]))


async def counts(db: Executor) -> Mapping[tuple[str, Outcome], int]:
    """Return how many stored messages there are by kind and outcome."""
    rows = await db.fetch(SQL["count_outcomes"])
    return {(row["kind"], Outcome(row["outcome"])): row["number"] for row in rows}


_NOT_STORED = frozenset({Outcome.DUPLICATE, Outcome.QUARANTINED})


def _outcome(verdict: Verdict, known: set[str]) -> Outcome:
    """Judge a message by what is stored; `known` grows, so that two with one key in one batch are told apart."""
    if verdict.event is None:
        return Outcome.QUARANTINED
    if verdict.event.key in known:
        return Outcome.DUPLICATE
    known.add(verdict.event.key)
    return verdict.outcome


def _row(message: Received, source: str, received_at: datetime) -> tuple[object, ...]:
    verdict, event = message.verdict, message.verdict.event
    assert event is not None
    waits = verdict.outcome is Outcome.ACCEPTED
    return (
        event.key,
        event.kind,
        verdict.outcome.value,
        verdict.reason,
        event.source,
        event.detail_type,
        event.account_id,
        event.region,
        to_json(event.instance_ids),
        event.time,
        event.action,
        event.state,
        source,
        message.body,
        received_at,
        None if waits else received_at,
    )


def _poison(message: Received, source: str, received_at: datetime) -> tuple[object, ...]:
    verdict = message.verdict
    reason = verdict.reason or "not understood"
    return verdict.key or message.body, verdict.kind, reason, source, message.body, received_at


def _stored(row: Row) -> StoredEvent:
    return StoredEvent(
        id=row["id"],
        event=_event(row),
        outcome=Outcome(row["outcome"]),
        reason=row["reason"],
        source=row["source"],
        received_at=when(row["received_at"]),
        processed_at=maybe_when(row["processed_at"]),
        result=row["result"],
    )


def _event(row: Row) -> Event:
    return Event(
        key=row["key"],
        kind=row["kind"],
        source=row["event_source"],
        detail_type=row["detail_type"],
        account_id=row["account_id"],
        region=row["region"],
        instance_ids=from_json(row["instance_ids"], tuple[str, ...]),
        time=maybe_when(row["time"]),
        action=row["action"],
        state=row["state"],
        body=_body(row["body"]),
    )


def _body(text: str) -> Mapping[str, Any]:
    """Return an object, whatever was stored: a list of messages must not fail because of one of them."""
    try:
        return from_json(text, dict[str, Any])
    except msgspec.MsgspecError:
        return {"text": text}


def _quarantined(row: Row) -> Quarantined:
    return Quarantined(
        id=row["id"],
        key=row["key"],
        kind=row["kind"],
        reason=row["reason"],
        source=row["source"],
        body=row["body"],
        received_at=when(row["received_at"]),
        times=row["times"],
    )

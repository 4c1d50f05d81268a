"""Recommendations and refusals, each open until newer advice supersedes it or nobody confirms it in time."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from spotd.errors import NotFound
from spotd.model.advice import Advice, Decision, Placement, Reason, Recommendation
from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, to_json, when
from spotd.store.paging import Page, id_of, in_slices, page_of
from spotd.store.statements import load

SQL = load("recommendations")

NEWEST = 2**62


class Replaced(Struct, frozen=True, kw_only=True):
    """What a new round of advice did to the old."""

    opened: int
    kept: int
    superseded: int


class OpenAdvice(Struct, frozen=True, kw_only=True):
    """How many pieces of advice of one verdict stand, and what they would save per hour together."""

    number: int
    saving_micros_per_hour: int


async def replace(
    db: Executor, account_id: int, advice: Sequence[Advice], *, now: datetime, ttl: timedelta
) -> Replaced:
    """Make this the advice that stands for an account (`accounts.id`).

    Equal digests are one piece of advice, which lives on; other open ones are superseded. Raises Conflict when the
    account is gone.
    """
    fresh = {one.digest: one for one in advice}
    async with db.transaction() as tx:
        standing = {row["digest"]: row["id"] for row in await tx.fetch(SQL["open_digests"], account_id)}
        stale = [(key, now) for digest, key in standing.items() if digest not in fresh]
        await tx.execute_many(SQL["supersede"], stale)
        await tx.execute(SQL["prolong"], account_id, now + ttl, now + ttl / 2)
        new = [one for digest, one in fresh.items() if digest not in standing]
        rows = await in_slices(lambda one: _values(account_id, one, now, now + ttl), new)
        await tx.execute_many(SQL["insert_advice"], rows)
        return Replaced(opened=len(new), kept=len(fresh) - len(new), superseded=len(stale))


async def expire(db: Executor, *, now: datetime) -> int:
    """Close what nobody confirmed in time; return how many."""
    return await db.execute(SQL["expire"], now)


async def get(db: Executor, id: int) -> Recommendation:  # noqa: A002 - it is the column's name
    """Return one piece of advice; raises NotFound."""
    row = await db.fetch_one(SQL["get_recommendation"], id)
    if row is None:
        raise NotFound(f"there is no recommendation {id}")
    return _recommendation(row)


async def list_page(
    db: Executor,
    *,
    account_id: str | None = None,
    verdict: str | None = None,
    state: str | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Page[Recommendation]:
    """Return advice, the newest first; `account_id` is the 12 digits.

    Raises InvalidInput for a cursor we did not make.
    """
    facts = {"account_id": account_id, "verdict": verdict, "state": state}
    before = id_of(cursor, default=NEWEST)
    sql, args = SQL.filtered("list_recommendations", before=before, limit=limit + 1, **facts)
    items = await in_slices(_recommendation, await db.fetch(sql, *args))
    return page_of(items, limit, lambda one: (one.id,))


async def open_advice(db: Executor, account_id: int | None = None) -> Mapping[Decision, OpenAdvice]:
    """Return how much advice stands, by verdict, of one account (`accounts.id`) or of all."""
    sql, args = SQL.filtered("count_open", account=account_id)
    return {
        Decision(row["verdict"]): OpenAdvice(number=row["number"], saving_micros_per_hour=int(row["saving"] or 0))
        for row in await db.fetch(sql, *args)
    }


def _values(account_id: int, advice: Advice, now: datetime, expires_at: datetime) -> tuple[object, ...]:
    return (
        account_id,
        advice.kind,
        to_json(advice.instance_ids),
        to_json(advice.source),
        None if advice.target is None else to_json(advice.target),
        advice.saving_micros_per_hour,
        advice.saving_micros_per_month,
        advice.verdict.value,
        to_json(advice.reasons),
        advice.digest,
        now,
        expires_at,
    )


def _recommendation(row: Row) -> Recommendation:
    return Recommendation(
        id=row["id"],
        advice=_advice(row),
        state=row["state"],
        created_at=when(row["created_at"]),
        expires_at=when(row["expires_at"]),
    )


def _advice(row: Row) -> Advice:
    return Advice(
        kind=row["kind"],
        account_id=row["aws_account_id"],
        instance_ids=from_json(row["instance_ids"], tuple[str, ...]),
        source=from_json(row["source"], Placement),
        target=None if row["target"] is None else from_json(row["target"], Placement),
        saving_micros_per_hour=row["saving_micros_per_hour"],
        saving_micros_per_month=row["saving_micros_per_month"],
        verdict=Decision(row["verdict"]),
        reasons=from_json(row["reasons"], tuple[Reason, ...]),
        digest=row["digest"],
    )

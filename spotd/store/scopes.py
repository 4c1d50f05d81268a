"""Scopes: one region of one account, and the passes over it.

Each pass has a generation. Beginning one shuts out all older ones: what they still bring is not written.
"""

from datetime import datetime

from msgspec import Struct

from spotd.errors import Conflict, NotFound
from spotd.store.db import Executor
from spotd.store.db.values import Row, maybe_when, when
from spotd.store.statements import load

SQL = load("scopes")


class Scope(Struct, frozen=True, kw_only=True):
    """One region of one account (`accounts.id`) and what became of its passes.

    `completed_at` is when the last complete pass ended, `error` why the newest failed, None if it did not.
    """

    account_id: int
    region: str
    generation: int
    started_at: datetime
    completed_at: datetime | None
    instance_count: int | None
    error: str | None
    error_at: datetime | None


async def begin(db: Executor, account_id: int, region: str, *, now: datetime) -> int:
    """Begin a pass and return its generation; raises NotFound when the account is gone."""
    try:
        row = await db.fetch_one(SQL["begin_pass"], account_id, region, now)
    except Conflict:
        raise NotFound(f"there is no account {account_id}") from None
    assert row is not None
    return int(row["generation"])


async def hold(tx: Executor, account_id: int, region: str, generation: int) -> bool:
    """Keep every newer pass from beginning until the transaction ends; False if one has begun already."""
    return await tx.execute(SQL["hold_pass"], account_id, region, generation) == 1


async def complete(db: Executor, account_id: int, region: str, generation: int, *, seen: int, now: datetime) -> bool:
    """Mark a pass complete; False if a newer one has begun. `instances.close_pass` does it with the tombstones."""
    return await db.execute(SQL["complete_pass"], account_id, region, generation, now, seen) == 1


async def fail(db: Executor, account_id: int, region: str, generation: int, *, error: str, now: datetime) -> None:
    """Note why a pass failed, unless a newer one has begun."""
    await db.execute(SQL["fail_pass"], account_id, region, generation, error, now)


async def current(db: Executor, account_id: int, region: str) -> int:
    """Return the newest generation of a scope, 0 before its first pass; see `instances.refresh`."""
    row = await db.fetch_one(SQL["get_scope"], account_id, region)
    return 0 if row is None else int(row["generation"])


async def all_scopes(db: Executor, account_id: int | None = None) -> tuple[Scope, ...]:
    """Return every scope, or those of one account, by account and region."""
    sql, args = SQL.filtered("list_scopes", account=account_id)
    return tuple(_scope(row) for row in await db.fetch(sql, *args))


async def forget(db: Executor, account_id: int, region: str) -> None:
    """Forget a region that the account no longer uses."""
    await db.execute(SQL["delete_scope"], account_id, region)


def _scope(row: Row) -> Scope:
    return Scope(
        account_id=row["account_id"],
        region=row["region"],
        generation=row["generation"],
        started_at=when(row["started_at"]),
        completed_at=maybe_when(row["completed_at"]),
        instance_count=row["instance_count"],
        error=row["error"],
        error_at=maybe_when(row["error_at"]),
    )

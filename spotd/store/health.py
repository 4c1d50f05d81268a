"""Component health: the last known status of each, kept over a restart, and every change."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from spotd.model.health import ComponentState
from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, to_json, when
from spotd.store.paging import Page, id_of, page_of
from spotd.store.statements import load

SQL = load("health")

NEWEST = 2**62


class Standing(Struct, frozen=True, kw_only=True):
    """A component's status and since when it has it."""

    status: ComponentState
    since: datetime


class Transition(Struct, frozen=True, kw_only=True):
    """One change of a component's status, with the diagnostics caught then."""

    id: int
    component: str
    before: ComponentState
    after: ComponentState
    at: datetime
    details: Mapping[str, Any]


async def standings(db: Executor) -> Mapping[str, Standing]:
    """Return the last known status of every component, by name."""
    rows = await db.fetch(SQL["all_states"])
    return {row["component"]: Standing(status=ComponentState(row["status"]), since=when(row["since"])) for row in rows}


async def save_standing(db: Executor, component: str, status: ComponentState, *, since: datetime) -> None:
    """Remember a status that is no change, such as a component's first."""
    await db.execute(SQL["save_state"], component, status.value, since)


async def record_transition(
    db: Executor,
    component: str,
    before: ComponentState,
    after: ComponentState,
    *,
    at: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Remember a change of status and add it to the history."""
    async with db.transaction() as tx:
        await save_standing(tx, component, after, since=at)
        await tx.execute(SQL["insert_transition"], component, before.value, after.value, at, to_json(details or {}))


async def history_page(
    db: Executor, *, component: str | None = None, limit: int = 100, cursor: str | None = None
) -> Page[Transition]:
    """Return changes, the newest first; raises InvalidInput for a cursor we did not make."""
    before = id_of(cursor, default=NEWEST)
    sql, args = SQL.filtered("list_transitions", before=before, component=component, limit=limit + 1)
    return page_of([_transition(row) for row in await db.fetch(sql, *args)], limit, lambda item: (item.id,))


def _transition(row: Row) -> Transition:
    return Transition(
        id=row["id"],
        component=row["component"],
        before=ComponentState(row["before_status"]),
        after=ComponentState(row["after_status"]),
        at=when(row["at"]),
        details=from_json(row["details"], dict[str, Any]),
    )

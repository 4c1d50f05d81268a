"""Passes: when each source of facts was last read well, and what a failure since said.

A price that has not changed for days is as fresh as the last pass over its source.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from spotd.store.db import Executor
from spotd.store.db.values import Row, maybe_when
from spotd.store.statements import load

SQL = load("passes")


class Pass(Struct, frozen=True, kw_only=True):
    """What became of the passes over one source; the error is None once a pass was good again.

    `misshapen` says that the source answered, but in a shape nobody knows.
    """

    source: str
    last_ok_at: datetime | None
    last_error: str | None
    error_at: datetime | None
    misshapen: bool


async def succeeded(db: Executor, source: str, *, now: datetime) -> None:
    """Note a good pass over a source."""
    await db.execute(SQL["record_success"], source, now)


async def failed(db: Executor, source: str, *, error: str, now: datetime, misshapen: bool = False) -> None:
    """Note a failed pass over a source; when the last good one ended stays."""
    await db.execute(SQL["record_failure"], source, error, now, misshapen)


async def all_passes(db: Executor) -> Mapping[str, Pass]:
    """Return what became of the passes over every source, by source."""
    return {row["source"]: _pass(row) for row in await db.fetch(SQL["all_passes"])}


async def last_good(db: Executor) -> Mapping[str, datetime]:
    """Return when the last good pass over each source ended, for those that had one."""
    passes = await all_passes(db)
    return {source: one.last_ok_at for source, one in passes.items() if one.last_ok_at is not None}


def _pass(row: Row) -> Pass:
    return Pass(
        source=row["source"],
        last_ok_at=maybe_when(row["last_ok_at"]),
        last_error=row["last_error"],
        error_at=maybe_when(row["error_at"]),
        misshapen=bool(row["misshapen"]),
    )

"""Passes: when each source of facts was last read well, and what the last failure said.

A price that has not changed for days is as fresh as the last pass over its source.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, maybe_when, to_json
from spotd.store.statements import load

SQL = load("passes")


class Pass(Struct, frozen=True, kw_only=True):
    """What became of the passes over one source; `last_error` is None once a pass was good again."""

    source: str
    last_ok_at: datetime | None
    last_error: str | None
    error_at: datetime | None
    details: Mapping[str, Any]


async def record_ok(db: Executor, source: str, *, now: datetime, details: Mapping[str, Any] | None = None) -> None:
    """Note a good pass, with what is worth telling of it, such as whether a feed had its shape."""
    await db.execute(SQL["record_ok"], source, now, to_json(details or {}))


async def record_failure(db: Executor, source: str, *, error: str, now: datetime) -> None:
    """Note a failed pass; when the last good one ended stays."""
    await db.execute(SQL["record_failure"], source, error, now)


async def all_passes(db: Executor) -> Mapping[str, Pass]:
    """Return what became of the passes over every source, by source."""
    return {row["source"]: _pass(row) for row in await db.fetch(SQL["all_passes"])}


def _pass(row: Row) -> Pass:
    return Pass(
        source=row["source"],
        last_ok_at=maybe_when(row["last_ok_at"]),
        last_error=row["last_error"],
        error_at=maybe_when(row["error_at"]),
        details=from_json(row["details"], dict[str, Any]),
    )

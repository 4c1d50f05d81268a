"""Heartbeats: what another process, such as the Kubernetes watcher, last said of itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from spotd.store.db import Executor
from spotd.store.db.values import from_json, to_json, when
from spotd.store.statements import load

SQL = load("heartbeats")


class Heartbeat(Struct, frozen=True, kw_only=True):
    """The last word of one process."""

    name: str
    at: datetime
    details: Mapping[str, Any]


async def beat(db: Executor, name: str, *, at: datetime, details: Mapping[str, Any] | None = None) -> None:
    """Store a heartbeat; an older one never wins."""
    await db.execute(SQL["beat"], name, at, to_json(details or {}))


async def get(db: Executor, name: str) -> Heartbeat | None:
    """Return the last heartbeat of a process, None if it was never heard of."""
    row = await db.fetch_one(SQL["get_heartbeat"], name)
    if row is None:
        return None
    return Heartbeat(name=row["name"], at=when(row["at"]), details=from_json(row["details"], dict[str, Any]))

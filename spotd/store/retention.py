"""Delete what is no longer needed, in bites that hold up nobody."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from spotd.config import RetentionConfig
from spotd.store.db import Executor
from spotd.store.statements import load

SQL = load("retention")

BITE = 1000
"""Rows deleted in one transaction: some ten milliseconds on SQLite."""


async def prune(db: Executor, policy: RetentionConfig, *, now: datetime) -> Mapping[str, int]:
    """Delete what is older than the policy keeps; return how many rows went, by what they were."""
    return {
        name: await _prune(db, SQL[f"prune_{name}"], now - timedelta(seconds=age))
        for name, age in _ages(policy).items()
    }


async def _prune(db: Executor, sql: str, before: datetime) -> int:
    total, bite = 0, BITE
    while bite == BITE:
        bite = await db.execute(sql, before, BITE)
        total += bite
    return total


def _ages(policy: RetentionConfig) -> dict[str, float]:
    return {
        "logs": policy.logs,
        "events": policy.events,
        "quarantine": policy.quarantine,
        "health": policy.health,
        "prices": policy.prices,
        "recommendations": policy.recommendations,
        "instances": policy.instances,
        "cpu": policy.instances,
    }

"""What is worth keeping of the moment in which a component got worse."""

from collections.abc import Mapping
from typing import Any

from msgspec import to_builtins

from spotd.aws.breaker import OpenBreaker
from spotd.loops.health.checks import Measured, told
from spotd.loops.health.gauges import Gauges
from spotd.loops.supervisor import settled
from spotd.store import logs
from spotd.store.db import Database

LINES = 15
LOGGED_AS: Mapping[str, tuple[str, ...]] = {
    "database": ("store",),
    "price_scraper": ("prices",),
    "aws": ("discovery",),
}
"""Names under which others log what concerns a component, beside its own."""
DEADLINE = 0.1
"""Seconds the store may take to give the lines; a store in trouble must not make health late."""


async def diagnose(db: Database, component: str, gauges: Gauges, measured: Measured) -> dict[str, Any]:
    """Return the component's last log lines, queue depths, open AWS breakers and the loop's slowest callbacks."""
    lines, error = await _last_lines(db, component) if measured.database.ok else ([], "the store does not answer")
    return {
        "recent_logs": lines,
        **({"recent_logs_error": error} if error else {}),
        "queue_depths": _depths(measured),
        "open_breakers": [_breaker(breaker) for breaker in gauges.breakers()],
        "slowest_callbacks": [
            {"ms": round(stall.seconds * 1000, 1), "task": stall.task, "where": stall.where}
            for stall in measured.stalls
        ],
    }


async def _last_lines(db: Database, component: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return the newest lines about a component, the newest first, or why there are none."""
    [outcome] = await settled([_read(db, component)], limit=1, deadline=DEADLINE)
    return outcome.value or [], told(outcome.error) if outcome.error else None


async def _read(db: Database, component: str) -> list[dict[str, Any]]:
    rows = [
        row for name in (component, *LOGGED_AS.get(component, ())) for row in await logs.recent(db, name, limit=LINES)
    ]
    newest = sorted(rows, key=lambda row: (row.timestamp, row.id), reverse=True)[:LINES]
    return [to_builtins(row) for row in newest]


def _depths(measured: Measured) -> dict[str, int | None]:
    """Return how much waits where: in the store, in each queue, in Redis."""
    depths: dict[str, int | None] = {"store": measured.facts.backlog.depth if measured.facts else None}
    depths |= {queue.name: queue.backlog for queue in measured.queues}
    return depths | ({"redis": measured.redis.value} if measured.redis else {})


def _breaker(breaker: OpenBreaker) -> dict[str, Any]:
    return {
        **breaker._asdict(),
        "open_for": round(breaker.open_for, 1),
        "next_trial_in": round(breaker.next_trial_in, 1),
    }

"""What is worth keeping of the moment in which a component got worse."""

from collections.abc import Sequence
from typing import Any

from spotd.loops.health.checks import Measured, told
from spotd.loops.health.gauges import Gauges
from spotd.loops.supervisor import settled
from spotd.store import logs
from spotd.store.db import Database

LINES = 15
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

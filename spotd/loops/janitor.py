"""Keep the store tidy: write the log rows that wait, expire old advice, delete what retention no longer keeps."""

from collections import Counter
from collections.abc import Mapping

import structlog

from spotd.clock import Clock
from spotd.config import RetentionConfig
from spotd.loops.supervisor import Loop, sheltered
from spotd.store import recommendations, retention
from spotd.store.db import Database
from spotd.store.logs import LogWriter

log = structlog.get_logger(__name__)

FLUSH_PERIOD = 1.0
FLUSH_DEADLINE = 30.0
FLUSH_GRACE = 2.0
EXPIRE_PERIOD = 60.0
EXPIRE_DEADLINE = 30.0
PRUNE_PERIOD = 3600.0
PRUNE_DEADLINE = 600.0


class Janitor:
    """The daemon's chores; each is a tick of its own, so that a long one does not hold up a short one."""

    def __init__(self, *, db: Database, config: RetentionConfig, clock: Clock, writer: LogWriter) -> None:
        self._db = db
        self._config = config
        self._clock = clock
        self._writer = writer
        self._pruned: Counter[str] = Counter()

    def loops(self) -> tuple[Loop, ...]:
        """Return the chores as loops, for a supervisor."""
        return (
            Loop(name="log_flush", tick=self.flush, period=FLUSH_PERIOD, deadline=FLUSH_DEADLINE, grace=FLUSH_GRACE),
            Loop(name="expire", tick=self.expire, period=EXPIRE_PERIOD, deadline=EXPIRE_DEADLINE, jitter=0.1),
            Loop(name="prune", tick=self.prune, period=PRUNE_PERIOD, deadline=PRUNE_DEADLINE, jitter=0.1),
        )

    async def flush(self) -> int:
        """Write the log rows that wait; return how many were written. What the store does not take waits on."""
        return await self._writer.flush()

    async def finish(self) -> int:
        """Write the last rows before the store closes, also while the daemon is being cancelled."""
        return await sheltered(self._writer.flush())

    async def expire(self) -> int:
        """Close the advice that nobody confirmed in time; return how many pieces."""
        return await recommendations.expire(self._db, now=self._clock.now())

    async def prune(self) -> Mapping[str, int]:
        """Delete what is older than the retention policy keeps; return how many rows went, by what they were."""
        gone = await retention.prune(self._db, self._config, now=self._clock.now())
        self._pruned.update(gone)
        if any(gone.values()):
            log.info("janitor.pruned", **{name: number for name, number in gone.items() if number})
        return gone

    def snapshot(self) -> Mapping[str, float]:
        """Return the figures for the metrics page."""
        pruned = {f"retention.{name}_deleted_total": float(number) for name, number in sorted(self._pruned.items())}
        return {"logs.waiting": float(self._writer.waiting), **pruned}

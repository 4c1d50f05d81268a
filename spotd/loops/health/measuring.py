"""Measure everything side by side, each measurement under its own deadline."""

from collections.abc import Coroutine
from typing import Any

from spotd.clock import Clock
from spotd.config import Config
from spotd.loops.health.checks import Measured
from spotd.loops.health.facts import FactsReader
from spotd.loops.health.gauges import Gauges
from spotd.loops.health.measures import round_trip
from spotd.loops.supervisor import Outcome, settled
from spotd.store.db import Database

SHARE = 0.85
"""Share of `health.check_timeout` a measurement may take; the rest is for judging and writing."""


class Instruments:
    """Takes one round of measurements after the other; a dependency that hangs delays none of the others."""

    def __init__(self, *, db: Database, config: Config, clock: Clock, gauges: Gauges) -> None:
        self._db = db
        self._config = config
        self._clock = clock
        self._gauges = gauges
        self._facts = FactsReader(db, config)
        self._started = clock.now()

    async def measure(self) -> Measured:
        """Ask every dependency once; what does not answer in time is an error of its own."""
        database, disk, redis = await self._asked()
        gauges, now = self._gauges, self._clock.now()
        return Measured(
            now=now,
            started=self._started,
            database=database,
            facts=self._facts.last,
            redis=redis,
            disk=disk,
            reached=gauges.probe.last_round if gauges.probe else (),
            lag=gauges.lag.longest() if gauges.lag and gauges.lag.running else None,
            stalls=gauges.lag.slowest() if gauges.lag else (),
            queues=gauges.queues(),
        )

    async def _asked(self) -> tuple[Outcome[Any], Outcome[Any], Outcome[Any] | None]:
        """Return what the store, the disk and Redis (None where there is none) answered."""
        gauges = self._gauges
        asked: list[Coroutine[Any, Any, object]] = [
            round_trip(self._db),
            gauges.room(self._config.state_dir),
            self._facts.read(),
        ]
        if gauges.probe is not None:
            asked.append(gauges.probe.look())
        if gauges.redis is not None:
            asked.append(gauges.redis.depth())
        outcomes = await settled(asked, limit=len(asked), deadline=SHARE * self._config.health.check_timeout)
        return outcomes[0], outcomes[1], outcomes[-1] if gauges.redis is not None else None

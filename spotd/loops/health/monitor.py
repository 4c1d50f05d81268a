"""Watch every component, tell each change of state once, and keep with it what explains it."""

import asyncio
import os
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import structlog

from spotd.changes import Changes
from spotd.clock import Clock, SystemClock
from spotd.config import Config, default_state_dir
from spotd.errors import StoreUnavailable
from spotd.loops.health.checks import Measured, is_starting, judge
from spotd.loops.health.diagnostics import diagnose
from spotd.loops.health.gauges import Gauges
from spotd.loops.health.measuring import Instruments
from spotd.loops.health.probe import ROUND_DEADLINE
from spotd.loops.health.record import TOPIC, Known, Transition, recall, write
from spotd.loops.supervisor import Loop, Supervisor, settled
from spotd.model.health import ComponentHealth, ComponentState, Reading
from spotd.store.db import Database

log = structlog.get_logger(__name__)

OWED_MOST = 1000
"""Changes of state kept while the store is away; beyond them the oldest is lost, which hours of flapping would take."""
PATIENCE = 0.1
"""Seconds that telling changes may add to `health.check_timeout`; what the store has not taken by then waits."""


class HealthMonitor:
    """Runs all health checks and follows each component's state over time."""

    def __init__(
        self, *, db: Database, config: Config, clock: Clock, changes: Changes, gauges: Gauges | None = None
    ) -> None:
        self._db = db
        self._config = config
        self._changes = changes
        self._gauges = gauges or Gauges()
        self._instruments = Instruments(db=db, config=config, clock=clock, gauges=self._gauges)
        self._components: dict[str, ComponentHealth] = {}
        self._known: dict[str, Known] = {}
        self._recalled = False
        self._owed: deque[Known | Transition] = deque(maxlen=OWED_MOST)
        self._following = asyncio.Lock()

    @property
    def components(self) -> Mapping[str, ComponentHealth]:
        """The last results by component; empty before the first check."""
        return dict(self._components)

    def loops(self) -> tuple[Loop, ...]:
        """Return the loops that keep this monitor going, for the daemon's supervisor."""
        interval, probe = self._config.health.interval, self._gauges.probe
        checking = Loop(name="health", tick=self.run_all_health_checks, period=interval, deadline=interval)
        if probe is None:
            return (checking,)
        return (checking, Loop(name="aws_probe", tick=probe.tick, period=interval / 2, deadline=ROUND_DEADLINE))

    async def monitor_loop(self) -> None:
        """Check health every `health.interval` until cancelled, under a supervisor of its own."""
        await Supervisor(self.loops()).run()

    async def run_all_health_checks(self) -> Mapping[str, ComponentHealth]:
        """Check every component now and return them all, in the contract's order; takes less than a second.

        A change of state goes to the stream at once, and to the store as soon as the store takes it.
        """
        until = asyncio.get_running_loop().time() + self._config.health.check_timeout + PATIENCE
        measured = await self._instruments.measure()
        async with self._following:
            with suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout_at(until):
                    await self._recall(measured)
            await self._follow(judge(measured, self._config), measured)
            with suppress(TimeoutError, StoreUnavailable):
                async with asyncio.timeout_at(until):
                    await self._write_owed(measured)
        return self.components

    async def _recall(self, measured: Measured) -> None:
        """Take up the states that the last run left, once the store answers."""
        if not self._recalled and measured.database.ok:
            self._known = await recall(self._db) | self._known
            self._recalled = True

    async def _follow(self, readings: Mapping[str, Reading], measured: Measured) -> None:
        """Tell whose state is another than before, then show every reading with the time its state began."""
        edges = [
            (name, self._before(name), reading) for name, reading in readings.items() if self._is_edge(name, reading)
        ]
        told = await settled((self._handle_degradation(*edge, measured) for edge in edges), limit=len(readings))
        for error in (outcome.error for outcome in told if outcome.error is not None):
            raise error
        for name, reading in readings.items():
            self._components[name] = health_of(reading, self._began(name, reading, measured), measured.now)

    def _before(self, name: str) -> ComponentState:
        """Return the state that was last told; what was never heard of was well."""
        known = self._known.get(name)
        return known.status if known else ComponentState.HEALTHY

    def _is_edge(self, name: str, reading: Reading) -> bool:
        return not is_starting(reading) and reading.status is not self._before(name)

    def _began(self, name: str, reading: Reading, measured: Measured) -> datetime:
        """Return since when a component has its state, remembering it if this is its first."""
        if is_starting(reading):
            return measured.started
        if name not in self._known:
            self._remember(Known(component=name, status=reading.status, since=measured.now))
        return self._known[name].since

    def _remember(self, known: Known) -> None:
        self._known[known.component] = known
        self._owed.append(known)

    async def _handle_degradation(
        self, name: str, before: ComponentState, reading: Reading, measured: Measured
    ) -> None:
        """Tell one change of state, up or down; one for the worse with the diagnostics of this moment."""
        worse = reading.status.severity > before.severity
        transition = Transition(
            component=name,
            before=before,
            after=reading.status,
            at=measured.now,
            details=reading.details,
            diagnostics=await diagnose(self._db, name, self._gauges, measured) if worse else {},
        )
        self._known[name] = Known(component=name, status=reading.status, since=measured.now)
        self._owed.append(transition)
        self._changes.publish(TOPIC, **transition.facts())
        log.info(TOPIC, **transition.facts())

    async def _write_owed(self, measured: Measured) -> None:
        """Write what is owed, the oldest first, each change in one transaction."""
        while self._owed and measured.database.ok:
            await write(self._db, self._owed[0])
            self._owed.popleft()


async def run_all_health_checks(
    db: Database, *, config: Config | None = None, clock: Clock | None = None, gauges: Gauges | None = None
) -> Mapping[str, ComponentHealth]:
    """Check every component once, from outside the daemon, and change nothing; `since` is what the daemon last told.

    Without `gauges` only the daemon itself knows how its event loop and its way to AWS do: both report as off.
    """
    config = config or Config(state_dir=default_state_dir(os.environ))
    instruments = Instruments(db=db, config=config, clock=clock or SystemClock(), gauges=gauges or Gauges())
    measured = await instruments.measure()
    known = await recall(db) if measured.database.ok else {}
    return {
        name: health_of(reading, _since(known.get(name), reading, measured.now), measured.now)
        for name, reading in judge(measured, config).items()
    }


def health_of(reading: Reading, since: datetime, now: datetime) -> ComponentHealth:
    """Return a reading as a component's health."""
    return ComponentHealth(
        status=reading.status, enabled=reading.enabled, details=reading.details, since=since, checked_at=now
    )


def _since(known: Known | None, reading: Reading, now: datetime) -> datetime:
    return known.since if known is not None and known.status is reading.status else now

"""A health monitor over a real store, with faults to put between the two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import pytest

from spotd.changes import Changes
from spotd.config import Config, Edges, HealthConfig, K8sConfig, MlConfig, ThresholdsConfig
from spotd.errors import StoreUnavailable
from spotd.loops.health import Gauges, HealthMonitor
from spotd.loops.health.measures import Disk
from spotd.store.db import Database, Executor, Transaction, open_database
from spotd.store.db.values import Row
from spotd.store.schema import migrate

UNHURRIED = HealthConfig(thresholds=ThresholdsConfig(database=Edges(0.25, 0.5)))
"""Gives the store time, so that a busy machine is not taken for a slow database."""


@dataclass
class HandClock:
    """A wall clock that a test moves by hand."""

    time: datetime = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time

    def forward(self, seconds: float) -> None:
        """Move on."""
        self.time += timedelta(seconds=seconds)


@dataclass
class Trouble:
    """What is wrong with a store at the moment: `delay` seconds before each answer, `gone` or `hung` altogether."""

    delay: float = 0.0
    gone: bool = False
    hung: bool = False

    async def strike(self) -> None:
        """Do to one call what is wrong."""
        if self.hung:
            await asyncio.Event().wait()
        if self.gone:
            raise StoreUnavailable
        await asyncio.sleep(self.delay)


@dataclass
class TroubledStore:
    """A real store behind a way that a test can cut or slow down."""

    db: Database
    trouble: Trouble = field(default_factory=Trouble)

    @property
    def dialect(self) -> Literal["sqlite", "postgres"]:
        """The real store's."""
        return self.db.dialect

    async def ping(self) -> None:
        """Make one round trip."""
        await self.trouble.strike()
        await self.db.ping()

    async def fetch(self, sql: str, *args: Any) -> Any:
        """Return every row."""
        await self.trouble.strike()
        return await self.db.fetch(sql, *args)

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """Return the first row."""
        await self.trouble.strike()
        return await self.db.fetch_one(sql, *args)

    async def execute(self, sql: str, *args: Any) -> int:
        """Return how many rows it changed."""
        await self.trouble.strike()
        return await self.db.execute(sql, *args)

    async def execute_many(self, sql: str, rows: Any) -> None:
        """Run one statement for each row."""
        await self.trouble.strike()
        await self.db.execute_many(sql, rows)

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction."""
        return self._behind(self.db.transaction())

    def snapshot(self) -> AbstractAsyncContextManager[Executor]:
        """Open a view of one moment."""
        return self._behind(self.db.snapshot())

    def _behind(self, opened: AbstractAsyncContextManager[Any]) -> AbstractAsyncContextManager[Any]:
        return _Behind(opened, self.trouble)

    async def close(self) -> None:
        """Close the real store."""
        await self.db.close()


@dataclass
class _Behind(AbstractAsyncContextManager[Any]):
    opened: AbstractAsyncContextManager[Any]
    trouble: Trouble

    async def __aenter__(self) -> Any:
        await self.trouble.strike()
        return await self.opened.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self.opened.__aexit__(kind, error, trace)


@dataclass
class World:
    """Everything around one monitor."""

    db: Database
    store: TroubledStore
    clock: HandClock
    changes: Changes
    config: Config
    room: Disk = field(default_factory=lambda: Disk(free=50, total=100))

    async def room_of(self, _folder: Path) -> Disk:
        """Return the room the test left on the disk."""
        return self.room

    def monitor(self, *, config: Config | None = None, **gauges: Any) -> HealthMonitor:
        """Return a monitor as the daemon would build it."""
        return HealthMonitor(
            db=self.store,
            config=config or self.config,
            clock=self.clock,
            changes=self.changes,
            gauges=Gauges(**{"room": self.room_of, **gauges}),
        )

    async def rows(self, component: str) -> list[tuple[str, str]]:
        """Return a component's changes as operators read them, the oldest first: (from, to)."""
        found = await self.db.fetch("SELECT message FROM system_logs WHERE component = 'health_monitor' ORDER BY id")
        told = [row["message"].partition(": ") for row in found]
        return [tuple(change.split(" → ")) for name, _, change in told if name == component]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a blank database."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spotd.db'}"
    return str(request.getfixturevalue("fresh_postgres_url"))


@pytest.fixture
async def world(url: str, tmp_path: Path) -> AsyncIterator[World]:
    """A store with its schema, nothing in it, and every optional component switched on."""
    clock = HandClock()
    db = await open_database(url, pool_size=4)
    try:
        await migrate(db, now=clock.now())
        config = Config(state_dir=tmp_path, health=UNHURRIED, k8s=K8sConfig(enabled=True), ml=MlConfig(enabled=True))
        yield World(db=db, store=TroubledStore(db), clock=clock, changes=Changes(clock=clock), config=config)
    finally:
        await db.close()

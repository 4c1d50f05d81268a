from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spotd.config import RetentionConfig
from spotd.log import Row
from spotd.loops.janitor import Janitor
from spotd.model.advice import Advice, Decision, Placement
from spotd.store import accounts, logs, recommendations
from spotd.store.db import Database, open_database
from spotd.store.logs import LogWriter
from spotd.store.schema import migrate

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


ADVICE = Advice(
    kind="single",
    account_id="1" * 12,
    instance_ids=("i-1",),
    source=Placement(instance_type="m5.large", availability_zone=None, lifecycle="on-demand"),
    target=None,
    saving_micros_per_hour=None,
    saving_micros_per_month=None,
    verdict=Decision.REFUSED,
    reasons=(),
    digest="d",
)


@dataclass
class HandClock:
    time: datetime = NOW

    def now(self) -> datetime:
        return self.time


@dataclass
class World:
    db: Database
    clock: HandClock
    writer: LogWriter
    janitor: Janitor


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spotd.db'}"
    return str(request.getfixturevalue("fresh_postgres_url"))


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    db = await open_database(url, pool_size=4)
    try:
        await migrate(db, now=NOW)
        clock = HandClock()
        writer = LogWriter(db, clock=clock)
        yield World(db, clock, writer, Janitor(db=db, config=RetentionConfig(), clock=clock, writer=writer))
    finally:
        await db.close()


def row(message: str, *, age: timedelta = timedelta()) -> Row:
    return Row(timestamp=NOW - age, component="prices", level="warning", message=message, details={})


async def test_waiting_log_rows_are_written(world: World) -> None:
    """What was logged since the last pass is in the table after it, and waits no more."""
    world.writer.write(row("prices.source_failed"))
    assert world.janitor.snapshot()["logs.waiting"] == 1

    assert await world.janitor.flush() == 1
    assert [each.message for each in await logs.recent(world.db, "prices")] == ["prices.source_failed"]
    assert world.janitor.snapshot()["logs.waiting"] == 0


async def test_the_last_rows_are_written_before_the_store_closes(world: World) -> None:
    """A daemon that stops leaves its last words."""
    world.writer.write(row("daemon.stopping"))

    assert await world.janitor.finish() == 1


async def test_only_what_retention_no_longer_keeps_is_deleted(world: World) -> None:
    """A row a day older than the policy goes, one a day younger stays, and the count is told."""
    keep = timedelta(seconds=RetentionConfig().logs)
    await logs.insert(world.db, row("old", age=keep + timedelta(days=1)), row("young", age=keep - timedelta(days=1)))

    gone = await world.janitor.prune()

    assert gone["logs"] == 1
    assert [each.message for each in await logs.recent(world.db, "prices")] == ["young"]
    assert world.janitor.snapshot()["retention.logs_deleted_total"] == 1


async def test_advice_that_nobody_renewed_expires(world: World) -> None:
    """It stands until its time is over, and closes with the next pass."""
    account = await accounts.create_pending(world.db, account_id="1" * 12, name="a", external_id=None, now=NOW)
    await recommendations.replace(world.db, account.id, [ADVICE], now=NOW, ttl=timedelta(hours=1))
    assert await world.janitor.expire() == 0

    world.clock.time += timedelta(hours=2)

    assert await world.janitor.expire() == 1
    [closed] = (await recommendations.list_page(world.db, state="expired")).items
    assert closed.advice.digest == ADVICE.digest


def test_each_chore_is_a_loop_of_its_own() -> None:
    """A long deletion does not hold up the log."""
    db: Database = object()  # type: ignore[assignment]  # no chore runs here
    writer = LogWriter(db, clock=HandClock())
    janitor = Janitor(db=db, config=RetentionConfig(), clock=HandClock(), writer=writer)

    assert [loop.name for loop in janitor.loops()] == ["log_flush", "expire", "prune"]

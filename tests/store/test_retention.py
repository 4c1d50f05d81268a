"""What is no longer needed goes, in bites; what is still needed stays, however old."""

from datetime import datetime, timedelta

from spotd.config import RetentionConfig
from spotd.log import Row
from spotd.model.account import Account
from spotd.model.event import Event, Outcome, Verdict
from spotd.model.health import ComponentState
from spotd.model.instance import Instance, State
from spotd.model.market import CpuUsage, SpotPrice
from spotd.store import health, inbox, instances, logs, market, retention, scopes
from spotd.store.db import Database

DAY = 86400.0
POLICY = RetentionConfig(
    logs=DAY, events=DAY, quarantine=DAY, health=DAY, prices=DAY, recommendations=DAY, instances=DAY
)


async def rows(db: Database, table: str) -> int:
    """Return how many rows a table has."""
    row = await db.fetch_one(f"SELECT count(*) AS n FROM {table}")
    assert row is not None
    return int(row["n"])


async def test_old_rows_go_in_bites(db: Database, now: datetime) -> None:
    """More than one bite of old log rows goes in one call; newer ones stay."""
    old, young = now - timedelta(days=1, seconds=1), now - timedelta(days=1)
    some = [Row(timestamp=old, component="c", level="info", message="m", details={})] * (retention.BITE + 1)
    await logs.insert(db, *some, Row(timestamp=young, component="c", level="info", message="m", details={}))

    gone = await retention.prune(db, POLICY, now=now)

    assert (gone["logs"], await rows(db, "system_logs")) == (retention.BITE + 1, 1)


async def test_what_waits_is_kept(db: Database, now: datetime) -> None:
    """A message nobody acted on yet stays, however old; handled ones and poison go."""
    for key in ("done", "waits"):
        event = Event(key=key, kind="rebalance", source="s", detail_type="d", account_id=None, region=None)
        verdict = Verdict(outcome=Outcome.ACCEPTED, key=key, event=event)
        await inbox.accept(db, verdict, source="api", raw="{}", received_at=now - timedelta(days=9))
    [done, waits] = await inbox.unprocessed(db)
    await inbox.mark_processed(db, done.id, now=now)
    await inbox.quarantine(db, key="p", reason="r", source="s", body="b", received_at=now - timedelta(days=9))

    gone = await retention.prune(db, POLICY, now=now)

    assert (gone["events"], gone["quarantine"]) == (1, 1)
    assert await inbox.unprocessed(db) == (waits,)


async def test_a_price_in_force_is_kept(db: Database, now: datetime) -> None:
    """A price may stand for months: the step in force stays, those before it go."""
    steps = [
        SpotPrice(
            region="r", az="a", instance_type="t", product="Linux/UNIX", micros=n, observed_at=now - timedelta(days=n)
        )
        for n in (2, 3, 4)
    ]
    await market.record_spot(db, steps)

    gone = await retention.prune(db, POLICY, now=now)

    assert (gone["prices"], await rows(db, "spot_price_history")) == (2, 1)
    assert await market.spot_prices(db, ["r"]) == (steps[0],)


async def test_only_tombstones_go(db: Database, account: Account, now: datetime) -> None:
    """An instance that runs for years stays; one that is long gone goes, and so does what was measured of it."""
    old = now - timedelta(days=9)
    found = [
        Instance(
            instance_id=f"i-{n}", account_id=account.account_id, region="r", instance_type="t", state=State.RUNNING
        )
        for n in range(2)
    ]
    generation = await scopes.begin(db, account.id, "r", now=old)
    await instances.upsert_changed(db, account.id, "r", generation, found, now=old)
    await instances.close_pass(db, account.id, "r", generation, seen_ids={"i-0"}, now=old)
    usages = [
        CpuUsage(instance_id=f"i-{n}", average_percent=1, peak_percent=1, hours=1, observed_at=at)
        for n, at in ((0, now), (1, old))
    ]
    await market.record_cpu(db, account.id, usages)

    gone = await retention.prune(db, POLICY, now=now)

    assert (gone["instances"], gone["cpu"]) == (1, 1)
    assert [one.instance.instance_id for one in await instances.live(db, account.id)] == ["i-0"]
    assert list(await market.cpu_usage(db, account.id)) == ["i-0"]


async def test_health_is_not_forgotten_with_its_history(db: Database, now: datetime) -> None:
    """Old changes go; the status they led to stays."""
    await health.record_transition(
        db, "redis", ComponentState.HEALTHY, ComponentState.CRITICAL, at=now - timedelta(days=9)
    )

    gone = await retention.prune(db, POLICY, now=now)

    assert gone["health"] == 1
    assert list(await health.standings(db)) == ["redis"]


async def test_nothing_to_do_is_no_trouble(db: Database, now: datetime) -> None:
    """On an empty database every number is zero."""
    assert set((await retention.prune(db, POLICY, now=now)).values()) == {0}

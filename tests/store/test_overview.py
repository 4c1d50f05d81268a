"""The fleet in figures: what is not known is None, never zero."""

from datetime import datetime, timedelta

from spotd.model.account import Account, Status
from spotd.model.instance import Instance, Lifecycle, State
from spotd.model.market import CpuUsage, OnDemandPrice, SpotPrice
from spotd.store import accounts, instances, market, overview, scopes
from spotd.store.db import Database
from spotd.store.overview import Cost, Cpu

REGION = "eu-west-1"


def instance(number: int, account: Account, **facts: object) -> Instance:
    """Return a running on-demand instance."""
    known: dict[str, object] = {
        "instance_id": f"i-{number}",
        "account_id": account.account_id,
        "region": REGION,
        "availability_zone": "eu-west-1a",
        "instance_type": "m5.large",
        "state": State.RUNNING,
    }
    return Instance(**{**known, **facts})  # type: ignore[arg-type]


async def scanned(db: Database, account: Account, found: list[Instance], now: datetime) -> None:
    """Run one complete pass."""
    generation = await scopes.begin(db, account.id, REGION, now=now)
    await instances.upsert_changed(db, account.id, REGION, generation, found, now=now)
    seen = {one.instance_id for one in found}
    await instances.close_pass(db, account.id, REGION, generation, seen_ids=seen, now=now)


def spot(at: datetime, micros: int, az: str) -> SpotPrice:
    """Return a Spot price."""
    return SpotPrice(
        region=REGION, az=az, instance_type="m5.large", product="Linux/UNIX", micros=micros, observed_at=at
    )


def on_demand(at: datetime, micros: int) -> OnDemandPrice:
    """Return an on-demand price."""
    return OnDemandPrice(region=REGION, instance_type="m5.large", product="Linux/UNIX", micros=micros, observed_at=at)


async def test_of_nothing_nothing_is_known(db: Database) -> None:
    """Without accounts there are counts, and no cost and no usage."""
    seen = await overview.read(db)

    assert (seen.counts.accounts, seen.counts.instances, seen.counts.by_state) == ({}, 0, {})
    assert seen.cost == Cost(running=0, unpriced=0, micros_per_hour=None, oldest=None)
    assert seen.cpu == Cpu(measured=0, percent=None, oldest=None)


async def test_a_fleet_without_prices_has_no_cost(db: Database, account: Account, now: datetime) -> None:
    """As long as no price is known the cost is not zero but unknown."""
    await scanned(db, account, [instance(1, account)], now)

    assert await overview.cost(db) == Cost(running=1, unpriced=1, micros_per_hour=None, oldest=None)


async def test_what_is_gone_is_not_counted(db: Database, account: Account, now: datetime) -> None:
    """Counts are of what is there, by state and by lifecycle."""
    fleet = [
        instance(1, account),
        instance(2, account, lifecycle=Lifecycle.SPOT),
        instance(3, account, state=State.STOPPED),
        instance(4, account),
    ]
    await scanned(db, account, fleet, now)
    await scanned(db, account, fleet[:3], now)

    seen = await overview.counts(db)

    assert (seen.instances, seen.accounts) == (3, {Status.PENDING: 1})
    assert seen.by_state == {State.RUNNING: 2, State.STOPPED: 1}
    assert seen.by_lifecycle == {Lifecycle.ON_DEMAND: 2, Lifecycle.SPOT: 1}


async def test_each_is_priced_as_it_is_bought(db: Database, account: Account, now: datetime) -> None:
    """Spot by its pool, on-demand by its type; what public prices do not hold for counts as not priced."""
    older = now - timedelta(hours=3)
    await market.record_spot(db, [spot(now, 30_000, "eu-west-1a"), spot(older, 40_000, "eu-west-1b")])
    await market.record_on_demand(db, [on_demand(now, 96_000)])
    await scanned(
        db,
        account,
        [
            *(instance(n, account) for n in range(3)),
            instance(3, account, lifecycle=Lifecycle.SPOT),
            instance(4, account, lifecycle=Lifecycle.SPOT, availability_zone="eu-west-1b"),
            instance(5, account, lifecycle=Lifecycle.SPOT, availability_zone="eu-west-1c"),
            instance(6, account, state=State.STOPPED),
            instance(7, account, tenancy="dedicated"),
            instance(8, account, lifecycle=Lifecycle.CAPACITY_BLOCK),
            instance(9, account, product="Windows"),
            instance(10, account, lifecycle=Lifecycle.SPOT, availability_zone=None),
        ],
        now,
    )

    assert await overview.cost(db) == Cost(
        running=10, unpriced=5, micros_per_hour=3 * 96_000 + 30_000 + 40_000, oldest=older
    )


async def test_usage_is_of_what_runs_and_was_measured(db: Database, account: Account, now: datetime) -> None:
    """An instance without a measurement does not pull the average to zero."""
    await scanned(db, account, [instance(n, account) for n in range(3)], now)
    usages = [
        CpuUsage(instance_id=f"i-{n}", average_percent=percent, peak_percent=99, hours=24, observed_at=at)
        for n, percent, at in ((0, 10.0, now), (1, 20.5, now - timedelta(hours=1)), (9, 90.0, now))
    ]
    await market.record_cpu(db, account.id, usages)

    assert await overview.cpu(db) == Cpu(measured=2, percent=15.25, oldest=now - timedelta(hours=1))


async def test_an_account_sees_only_itself(db: Database, account: Account, now: datetime) -> None:
    """Limited to one account, every figure is that account's."""
    other = await accounts.create_pending(db, account_id="9" * 12, name="o", external_id=None, now=now)
    await market.record_on_demand(db, [on_demand(now, 7)])
    for one, number in ((account, 3), (other, 2)):
        await scanned(db, one, [instance(n, one) for n in range(number)], now)
        usage = CpuUsage(instance_id="i-0", average_percent=number, peak_percent=1, hours=1, observed_at=now)
        await market.record_cpu(db, one.id, [usage])

    seen = await overview.read(db, other.account_id)

    assert (seen.counts.instances, seen.counts.accounts) == (2, {Status.PENDING: 1})
    assert (seen.cost.micros_per_hour, seen.cpu.percent, seen.cpu.measured) == (14, 2.0, 1)
    everything = await overview.read(db)
    assert (everything.counts.instances, everything.cost.micros_per_hour) == (5, 35)
    assert (await overview.read(db, "0" * 12)).cost.micros_per_hour is None

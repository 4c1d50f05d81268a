"""Prices, bands, types and usage, each with its source and the moment it was observed."""

from datetime import datetime, timedelta

import pytest

from spotd.errors import InvalidInput
from spotd.model.account import Account
from spotd.model.instance import Instance, InstanceType, State
from spotd.model.market import AdvisorRate, CpuUsage, OnDemandPrice, SpotPrice
from spotd.store import fleet, instances, market, passes, scopes
from spotd.store.db import Database
from spotd.store.market import Price, PriceFilter

REGION = "eu-west-1"


def spot(at: datetime, micros: int, *, az: str = "eu-west-1a", product: str = "Linux/UNIX") -> SpotPrice:
    """Return a Spot price of one type."""
    return SpotPrice(
        region=REGION, az=az, instance_type="m5.large", product=product, micros=micros, observed_at=at, az_id="euw1-az1"
    )


def on_demand(at: datetime, micros: int, *, instance_type: str = "m5.large") -> OnDemandPrice:
    """Return an on-demand price."""
    return OnDemandPrice(
        region=REGION, instance_type=instance_type, product="Linux/UNIX", micros=micros, observed_at=at
    )


def rate(at: datetime, band: int, *, instance_type: str = "m5.large") -> AdvisorRate:
    """Return a row of the Spot Advisor feed."""
    return AdvisorRate(
        region=REGION, instance_type=instance_type, product="Linux/UNIX", band=band, savings_percent=70, observed_at=at
    )


TYPE = InstanceType(
    name="m5.large",
    vcpus=2,
    memory_mib=8192,
    architectures=frozenset({"x86_64"}),
    virtualization=frozenset({"hvm"}),
    usage_classes=frozenset({"spot", "on-demand"}),
    network_mbps=750,
    ena="required",
)


async def test_the_newest_price_of_a_pool_wins_in_any_order(db: Database, now: datetime) -> None:
    """Pages come newest first and overlap: the newest price stands, and each step is kept once."""
    steps = [spot(now - timedelta(hours=n), 100 + n) for n in range(3)]
    await market.record_spot(db, steps)
    await market.record_spot(db, [spot(now - timedelta(hours=5), 1), *steps[1:]])

    assert await market.spot_prices(db, [REGION, "us-east-1"]) == (steps[0],)
    assert await market.last_spot_price(db, REGION) == now
    assert await market.last_spot_price(db, "us-east-1") is None
    pool = {"region": REGION, "az": "eu-west-1a", "instance_type": "m5.large", "product": "Linux/UNIX"}
    history = await market.spot_history(db, **pool, since=now - timedelta(hours=1, minutes=30))
    assert [micros for _, micros in history] == [102, 101, 100]
    assert await market.spot_history(db, **pool, since=now - timedelta(days=1)) == tuple(
        (now - timedelta(hours=n), micros) for n, micros in ((5, 1), (2, 102), (1, 101), (0, 100))
    )


async def test_a_product_has_one_name(db: Database, now: datetime) -> None:
    """The pools of `Linux/UNIX (Amazon VPC)` are those of `Linux/UNIX`."""
    await market.record_spot(db, [spot(now, 7, product="Linux/UNIX (Amazon VPC)")])

    assert await market.spot_prices(db, [REGION]) == (spot(now, 7),)


async def test_an_older_on_demand_price_never_wins(db: Database, now: datetime) -> None:
    """A price that comes late does not replace a newer one."""
    await market.record_on_demand(db, [on_demand(now, 96_000)])
    await market.record_on_demand(
        db, [on_demand(now - timedelta(days=1), 1), on_demand(now, 5, instance_type="c5.large")]
    )

    stored = {one.instance_type: one for one in await market.on_demand_prices(db, [REGION])}
    assert stored == {"m5.large": on_demand(now, 96_000), "c5.large": on_demand(now, 5, instance_type="c5.large")}


async def test_a_new_feed_replaces_the_old_one(db: Database, now: datetime) -> None:
    """A row that the Advisor no longer has is gone with its next feed."""
    await market.replace_advisor(db, [rate(now, 4), rate(now, 1, instance_type="c5.large")])
    await market.replace_advisor(db, [rate(now, 2)])

    assert await market.advisor_rates(db, [REGION]) == (rate(now, 2),)


async def test_types_come_back_as_they_were(db: Database, now: datetime) -> None:
    """What a type offers is stored whole."""
    await market.record_types(db, [TYPE], now=now)

    assert await market.instance_types(db) == {"m5.large": TYPE}


async def test_usage_is_the_last_that_was_measured(db: Database, account: Account, now: datetime) -> None:
    """One row per instance, replaced by the next measurement."""
    first = CpuUsage(instance_id="i-1", average_percent=5.5, peak_percent=80.25, hours=24, observed_at=now)
    second = CpuUsage(instance_id="i-1", average_percent=1.0, peak_percent=2.0, hours=12, observed_at=now)
    await market.record_cpu(db, account.id, [first])
    await market.record_cpu(db, account.id, [second])

    assert await market.cpu_usage(db, account.id) == {"i-1": second}


async def test_prices_are_listed_with_what_is_known(db: Database, now: datetime) -> None:
    """A pool shows both prices; a type without a Spot price stands without a zone; what is unknown is None."""
    await market.record_spot(db, [spot(now, 30_000), spot(now, 31_000, az="eu-west-1b", product="Windows")])
    await market.record_on_demand(db, [on_demand(now, 96_000), on_demand(now, 85_000, instance_type="c5.large")])

    listed: list[Price] = []
    cursor = None
    for _ in range(3):
        page = await market.list_prices(db, limit=1, cursor=cursor)
        listed += page.items
        cursor = page.next_cursor

    assert [(p.az, p.instance_type, p.product, p.spot_micros, p.on_demand_micros) for p in listed] == [
        (None, "c5.large", "Linux/UNIX", None, 85_000),
        ("eu-west-1a", "m5.large", "Linux/UNIX", 30_000, 96_000),
        ("eu-west-1b", "m5.large", "Windows", 31_000, None),
    ]
    assert cursor is None
    assert listed[1] == Price(
        region=REGION,
        az="eu-west-1a",
        az_id="euw1-az1",
        instance_type="m5.large",
        product="Linux/UNIX",
        spot_micros=30_000,
        on_demand_micros=96_000,
        source="ec2:DescribeSpotPriceHistory",
        observed_at=now,
    )


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        (PriceFilter(region=REGION), 2),
        (PriceFilter(region="us-east-1"), 0),
        (PriceFilter(az="eu-west-1b"), 1),
        (PriceFilter(instance_type="m5.large", product="Linux/UNIX"), 1),
    ],
)
async def test_prices_are_filtered(db: Database, now: datetime, wanted: PriceFilter, number: int) -> None:
    """Each filter selects exactly what it names."""
    await market.record_spot(db, [spot(now, 1), spot(now, 2, az="eu-west-1b", product="Windows")])

    assert len((await market.list_prices(db, wanted)).items) == number


async def test_a_foreign_price_cursor_is_refused(db: Database) -> None:
    """A cursor of another list, or one with a zero byte, is the client's mistake."""
    for cursor in ("WzFd", "WyJcdTAwMDAiLCIiLCIiLCIiXQ"):
        with pytest.raises(InvalidInput):
            await market.list_prices(db, cursor=cursor)


async def test_the_optimizer_sees_one_moment(db: Database, account: Account, now: datetime) -> None:
    """A snapshot holds an account's live instances, the market of their regions, and how fresh each source is."""
    found = [
        Instance(
            instance_id=f"i-{n}",
            account_id=account.account_id,
            region=REGION,
            instance_type="m5.large",
            state=State.RUNNING,
        )
        for n in range(2)
    ]
    generation = await scopes.begin(db, account.id, REGION, now=now)
    await instances.upsert_changed(db, account.id, REGION, generation, found, now=now)
    await instances.close_pass(db, account.id, REGION, generation, seen_ids={"i-0"}, now=now)
    await market.record_spot(db, [spot(now, 1)])
    await market.record_on_demand(db, [on_demand(now, 2)])
    await market.replace_advisor(db, [rate(now, 3)])
    await market.record_types(db, [TYPE], now=now)
    usage = CpuUsage(instance_id="i-0", average_percent=1, peak_percent=2, hours=3, observed_at=now)
    await market.record_cpu(db, account.id, [usage])
    await passes.succeeded(db, "spot_prices/eu-west-1", now=now)
    await passes.failed(db, "spot_advisor", error="no", now=now)

    seen = await fleet.snapshot(db, account.id)

    assert seen.account_id == account.account_id
    assert [one.instance for one in seen.instances] == found[:1]
    assert (seen.spot, seen.on_demand, seen.advisor) == ((spot(now, 1),), (on_demand(now, 2),), (rate(now, 3),))
    assert (seen.types, seen.cpu) == ({"m5.large": TYPE}, {"i-0": usage})
    assert seen.confirmed == {"spot_prices/eu-west-1": now}

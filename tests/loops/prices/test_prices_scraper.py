from datetime import timedelta

import pytest

from spotd.changes import Change
from spotd.errors import SpotdError
from spotd.model import fleet as names
from spotd.store import instances, market, passes
from tests.loops.prices.markets import asked_window
from tests.loops.prices.worlds import World

EVERYTHING = {
    names.ADVISOR,
    names.INSTANCE_TYPES,
    names.spot_prices("us-east-1"),
    names.on_demand_prices("us-east-1"),
    names.cpu_usage(1, "us-east-1"),
}


async def test_without_instances_nobody_is_asked(world: World) -> None:
    """A daemon without accounts asks for nothing, and that is a good pass."""
    result = await world.scraper.tick()

    assert (result.read, result.failed, world.fake.seen) == ({}, {}, [])
    assert (await passes.all_passes(world.db))[names.PRICES].last_ok_at is not None


async def test_a_first_pass_reads_everything(world: World) -> None:
    """Prices of every zone, of the type in use and its substitutes; bands, type facts and CPU; each pass is remembered."""
    news = world.changes.subscribe()
    await world.onboard()

    result = await world.scraper.tick()

    assert (set(result.read), result.failed) == (EVERYTHING, {})
    pools = {
        (price.az, price.instance_type): price.micros for price in await market.spot_prices(world.db, ["us-east-1"])
    }
    assert pools == {(f"us-east-1{zone}", name): 35_000 for zone in ("a", "b") for name in ("m5.large", "m6i.large")}
    assert [(one.instance_type, one.micros) for one in await market.on_demand_prices(world.db, ["us-east-1"])] == [
        ("m5.large", 107_000)
    ]
    assert {rate.instance_type: rate.band for rate in await market.advisor_rates(world.db, ["us-east-1"])} == {
        "m5.large": 1,
        "m6i.large": 1,
    }
    assert set(await market.instance_types(world.db)) == {"m5.large", "m6i.large"}
    assert [round(one.average_percent, 1) for one in (await market.cpu_usage(world.db, 1)).values()] == [12.5]
    known = await passes.all_passes(world.db)
    assert {source for source, one in known.items() if one.last_ok_at == world.clock.now()} == EVERYTHING | {
        names.PRICES
    }
    change = await anext(news)
    assert isinstance(change, Change)
    assert (change.topic, set(change.facts["sources"])) == ("prices", EVERYTHING)


async def test_later_passes_read_what_is_due(world: World) -> None:
    """Spot prices are read at each pass, the feed hourly, the rest daily."""
    await world.onboard()
    await world.scraper.tick()
    world.clock.forward(minutes=10)
    assert set((await world.scraper.tick()).read) == {names.spot_prices("us-east-1")}
    world.clock.forward(minutes=50)
    assert set((await world.scraper.tick()).read) == {names.spot_prices("us-east-1"), names.ADVISOR}
    world.clock.forward(hours=23)
    assert set((await world.scraper.tick()).read) == EVERYTHING


async def test_spot_prices_are_read_incrementally(world: World) -> None:
    """The first window is the configured history, later ones begin a little before the newest known change."""
    await world.onboard()
    began = world.clock.now()
    await world.scraper.tick()
    world.clock.forward(minutes=10)
    world.market.spot_price, world.market.priced_at = "0.036000", "2026-03-01T12:05:00Z"
    await world.scraper.tick()

    windows = [asked_window(seen) for seen in world.fake.calls("DescribeSpotPriceHistory")]
    assert windows == [
        (began - timedelta(days=1), began),
        (began - timedelta(minutes=70), began + timedelta(minutes=10)),
    ]
    steps = await market.spot_history(
        world.db, region="us-east-1", az="us-east-1a", instance_type="m5.large", product="Linux/UNIX", since=began
    )
    assert [micros for _, micros in steps] == [35_000, 36_000]


async def test_a_region_is_asked_once_for_all_accounts(world: World) -> None:
    """What is public is asked as one account only; CPU as each."""
    await world.onboard("111111111111", types=("m5.large",))
    await world.onboard("222222222222", types=("m6i.large",))
    await world.scraper.tick()

    assert len(world.fake.calls("DescribeSpotPriceHistory")) == 1
    assert sorted(seen.access_key for seen in world.fake.calls("GetMetricData")) == ["AK111111111111", "AK222222222222"]


async def test_another_account_asks_where_one_may_not(world: World) -> None:
    """An account without the permission does not keep the others from the region's prices."""
    await world.onboard("111111111111")
    await world.onboard("222222222222")
    world.market.denied = {"AK111111111111"}

    result = await world.scraper.tick()

    assert names.spot_prices("us-east-1") in result.read
    assert set(result.failed) == {names.cpu_usage(1, "us-east-1")}


async def test_a_failing_region_does_not_stop_the_others(world: World) -> None:
    """One region's trouble is told with its reason and its age stays; the other region is fresh."""
    await world.onboard("111111111111", "us-east-1", "eu-west-1")
    await world.scraper.tick()
    before = world.clock.now()
    world.clock.forward(minutes=10)
    world.market.denied = {"eu-west-1"}

    result = await world.scraper.tick()

    europe, america = names.spot_prices("eu-west-1"), names.spot_prices("us-east-1")
    assert (set(result.read), set(result.failed)) == ({america}, {europe})
    known = await passes.all_passes(world.db)
    assert (known[europe].last_ok_at, known[america].last_ok_at) == (before, world.clock.now())
    assert "UnauthorizedOperation" in (known[europe].last_error or "")


async def test_nothing_readable_fails_the_pass(world: World) -> None:
    """A pass in which every source fails is a failed pass, so that its age shows in health."""
    await world.onboard()
    await world.scraper.tick()
    world.market.denied = {"us-east-1"}

    with pytest.raises(SpotdError, match="spot_prices/us-east-1"):
        await world.scraper.tick()


@pytest.mark.parametrize("feed", [{}, {"ranges": [], "spot_advisor": {}}])
async def test_a_feed_of_another_shape_is_told_and_not_used(world: World, feed: dict[str, object]) -> None:
    """A changed feed leaves the known bands as they are and as old as they are, until its shape is right again."""
    await world.onboard()
    await world.scraper.tick()
    before, good = world.clock.now(), world.market.feed
    world.clock.forward(hours=1)
    world.market.feed = feed

    assert set((await world.scraper.tick()).failed) == {names.ADVISOR}
    known = await passes.all_passes(world.db)
    assert known[names.ADVISOR].last_ok_at == before
    assert [source for source, one in known.items() if one.misshapen] == [names.ADVISOR]
    assert len(await market.advisor_rates(world.db, ["us-east-1"])) == 2

    world.market.feed = good
    world.clock.forward(minutes=10)
    await world.scraper.tick()
    assert not (await passes.all_passes(world.db))[names.ADVISOR].misshapen


async def test_a_new_type_is_priced_at_once(world: World) -> None:
    """On-demand prices are asked for again as soon as a type appears; a type without one is not asked for at each pass."""
    account = await world.onboard()
    await world.scraper.tick()
    await world.listed(account, "us-east-1", ("m5.large", "m6i.large", "x1.strange"))

    for _ in range(2):
        world.clock.forward(minutes=10)
        await world.scraper.tick()

    assert len(await market.on_demand_prices(world.db, ["us-east-1"])) == 2
    asked = [term["Value"] for seen in world.fake.calls("GetProducts") for term in seen.params["Filters"]]
    assert sum("x1.strange" in types for types in asked) == 1


async def test_cpu_costs_nothing_without_a_budget(world: World) -> None:
    """Without a budget for AWS's own bill CloudWatch is not asked."""
    await world.onboard()
    await world.build(budget_usd=0).tick()
    assert world.fake.calls("GetMetricData") == []


async def test_first_scan_prices_what_the_account_has(world: World) -> None:
    """Before an account is active, the regions where it has instances are priced and their CPU is read, as that account."""
    account = await world.onboard("111111111111", "us-east-1", "eu-west-1")
    session = await world.session_for(account)

    await world.scraper.first_scan(account, session, {"us-east-1": 1, "eu-west-1": 0})

    assert {one.az for one in await market.spot_prices(world.db, ["us-east-1", "eu-west-1"])} == {
        "us-east-1a",
        "us-east-1b",
    }
    assert len(await market.on_demand_prices(world.db, ["us-east-1"])) == 1
    assert len(await market.cpu_usage(world.db, account.id)) == 1
    assert {seen.access_key for seen in world.fake.seen if seen.operation} == {"AK111111111111"}


async def test_first_scan_raises_nothing(world: World) -> None:
    """What the account may not read stays unknown with its reason, and what it may is there."""
    account = await world.onboard()
    world.market.denied = {"DescribeSpotPriceHistory", "GetMetricData"}

    await world.scraper.first_scan(account, await world.session_for(account), {"us-east-1": 1})

    known = await passes.all_passes(world.db)
    assert known[names.spot_prices("us-east-1")].last_error is not None
    assert known[names.cpu_usage(account.id, "us-east-1")].last_ok_at is None
    assert len(await market.on_demand_prices(world.db, ["us-east-1"])) == 1


async def test_what_is_gone_is_not_asked_about(world: World) -> None:
    """Tombstones need no prices."""
    account = await world.onboard()
    await world.listed(account, "us-east-1", ())
    assert await instances.pools_in_use(world.db) == ()
    await world.scraper.tick()
    assert world.fake.seen == []

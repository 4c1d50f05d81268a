"""Prices and interruption bands as AWS publishes them, and as it should not."""

import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws.errors import AwsError, Trouble
from spotd.aws.prices import advisor, on_demand_prices, parse_advisor, spot_advisor, spot_price_history
from spotd.aws.session import AccountSession
from tests.aws.fakes import FakeAws, Seen, js, xml

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = {"start": NOW - timedelta(days=1), "end": NOW}
LABELS = ("<5%", "5-10%", "10-15%", "15-20%", ">20%")
RANGES = [{"index": index, "label": label, "dots": index, "max": 5 * index} for index, label in enumerate(LABELS)]


def spot_row(price: str, zone: str = "us-east-1a") -> str:
    """Return one row of DescribeSpotPriceHistory."""
    return (
        f"<item><instanceType>m5.large</instanceType><productDescription>Linux/UNIX</productDescription>"
        f"<spotPrice>{price}</spotPrice><timestamp>2026-11-23T11:00:00Z</timestamp>"
        f"<availabilityZone>{zone}</availabilityZone></item>"
    )


def spot_page(*rows: str, token: str = "") -> web.StreamResponse:
    """Return a page of DescribeSpotPriceHistory; AWS ends with an empty token."""
    body = f"<spotPriceHistorySet>{''.join(rows)}</spotPriceHistorySet><nextToken>{token}</nextToken>"
    return xml("DescribeSpotPriceHistory", body)


async def test_the_spot_history_is_read_to_its_empty_token(fake: FakeAws, session: AccountSession) -> None:
    """All pages, the asked window and products; a row without a price is left out."""
    fake.sequence(
        "DescribeSpotPriceHistory",
        spot_page(spot_row("0.0407"), spot_row("none"), token="2"),
        spot_page(spot_row("0.0411", "us-east-1b")),
    )
    pages = spot_price_history(session, "us-east-1", instance_types=["m5.large"], products=["Linux/UNIX"], **DAY)
    assert [[each.micros for each in page] async for page in pages] == [[40_700], [41_100]]
    asked = fake.seen[0].params
    assert (asked["StartTime"], asked["ProductDescription.1"]) == ("2026-11-22T12:00:00Z", "Linux/UNIX")


async def test_many_types_are_asked_for_a_hundred_at_a_time(fake: FakeAws, session: AccountSession) -> None:
    """Each request stays of a size AWS takes."""
    fake.on("DescribeSpotPriceHistory", spot_page())
    names = [f"m{n}.large" for n in range(150)]
    async for _page in spot_price_history(session, "us-east-1", instance_types=names, products=["Windows"], **DAY):
        pass
    assert [sum(key.startswith("InstanceType.") for key in each.params) for each in fake.seen] == [100, 50]


def product(instance_type: str, system: str = "Linux", **attributes: str) -> str:
    """Return one entry of the price list, as text."""
    told = {"instanceType": instance_type, "operatingSystem": system, "regionCode": "eu-west-1"} | attributes
    dimensions = {"rate": {"unit": "Hrs", "pricePerUnit": {"USD": "0.1"}}}
    terms = {"OnDemand": {"term": {"priceDimensions": dimensions}}}
    return json.dumps({"product": {"attributes": told}, "terms": terms})


def filters(seen: Seen) -> dict[str, str]:
    """Return what a request for prices filters by."""
    return {each["Field"]: each["Value"] for each in seen.params["Filters"]}


async def test_on_demand_prices_are_those_of_ordinary_launches(fake: FakeAws, session: AccountSession) -> None:
    """One question for the types and systems, in the Price List's home; odd and other products are left out."""
    entries = [
        product("m5.large"),
        product("m5.large", "Windows"),
        product("m5.large", "Windows", licenseModel="Bring your own license"),
        product("m5.large", tenancy="Dedicated"),
        "not json",
    ]
    fake.on("GetProducts", js({"PriceList": entries}))
    found = await on_demand_prices(session, "eu-west-1", ["m5.large", "c5.large"])
    assert sorted(each.product for each in found) == ["Linux/UNIX", "Windows"]
    assert {(each.region, each.observed_at) for each in found} == {("eu-west-1", session.now())}
    [seen] = fake.seen
    assert seen.region == "us-east-1"
    assert filters(seen) == {
        "regionCode": "eu-west-1",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "instanceType": "c5.large,m5.large",
        "operatingSystem": "Linux,RHEL,SUSE,Windows",
    }


async def test_many_types_are_asked_for_forty_at_a_time(fake: FakeAws, session: AccountSession) -> None:
    """A filter's value has its bound; only the wanted systems are asked for."""
    fake.on("GetProducts", js({"PriceList": []}))
    names = [f"u7inh-{n}tb.metal-480xl" for n in range(120)]
    await on_demand_prices(session, "eu-west-1", names, products=["Linux/UNIX", "SUSE Linux"])
    asked = [filters(each) for each in fake.seen]
    assert [each["instanceType"].count(",") + 1 for each in asked] == [40, 40, 40]
    assert all(len(each["instanceType"]) <= 1024 for each in asked)
    assert {each["operatingSystem"] for each in asked} == {"Linux,SUSE"}


async def test_a_product_nobody_sells_is_not_asked_for(fake: FakeAws, session: AccountSession) -> None:
    """The price list knows the Spot market's four."""
    assert await on_demand_prices(session, "eu-west-1", ["m5.large"], products=["Ubuntu Pro"]) == ()
    assert fake.seen == []


async def test_a_price_page_cut_in_the_middle_is_an_error(fake: FakeAws, session: AccountSession) -> None:
    """Botocore takes broken JSON for an empty answer; spotd does not."""
    fake.on("GetProducts", web.Response(text='{"PriceList": ["', content_type="application/x-amz-json-1.1"))
    with pytest.raises(AwsError, match="MalformedReply"):
        await on_demand_prices(session, "eu-west-1", ["m5.large"])


# --- Spot Advisor ----------------------------------------------------------------


def feed(**changes: Any) -> dict[str, Any]:
    """Return a small feed of the published shape."""
    rows = {"us-east-1": {"Linux": {"m5.large": {"s": 60, "r": 1}}, "Windows": {"m5.large": {"s": -6, "r": 4}}}}
    return {"ranges": RANGES, "instance_types": {}, "spot_advisor": rows} | changes


def test_the_published_shape_is_read() -> None:
    """Bands and savings by region, type and product; a negative saving is one."""
    read = parse_advisor(msgspec.json.encode(feed()), now=NOW)
    assert read.shape_ok
    assert [(each.product, each.band, each.savings_percent) for each in read.rates] == [
        ("Linux/UNIX", 1, 60),
        ("Windows", 4, -6),
    ]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"[]", "not an object"),
        (b"{}", "ranges"),
        (msgspec.json.encode(feed(ranges=RANGES[:4])), "ranges"),
        (msgspec.json.encode(feed(ranges=[*RANGES[:4], {"index": 4, "label": ">25%"}])), "ranges"),
        (msgspec.json.encode(feed(spot_advisor={})), "no rates"),
        (msgspec.json.encode(feed(spot_advisor={"us-east-1": {"Linux": {"m5.large": {"rate": 3}}}})), "no rates"),
        (
            msgspec.json.encode(
                feed(spot_advisor={"us-east-1": {"Linux": {"a.b": {"s": 1, "r": 0}, "c.d": {"r": 9}}}})
            ),
            "1 of 2 rows",
        ),
    ],
)
def test_a_changed_shape_is_flagged_and_nothing_is_taken_from_it(body: bytes, problem: str) -> None:
    """A band that may mean something else is worse than none."""
    read = parse_advisor(body, now=NOW)
    assert (read.rates, read.shape_ok) == ((), False)
    assert problem in (read.problem or "")


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["ranges", "spot_advisor"]), anything))
def test_any_feed_is_read_or_flagged(changes: dict[str, Any]) -> None:
    """Whatever JSON the address serves some day."""
    read = parse_advisor(msgspec.json.encode(feed() | changes), now=NOW)
    assert read.shape_ok == bool(read.rates)


def test_the_real_feed_is_read(data: Path) -> None:
    """The published file of June 2025."""
    read = parse_advisor(gzip.decompress((data / "spot_advisor.json.gz").read_bytes()), now=NOW)
    assert read.problem is None
    assert len(read.rates) > 20_000
    assert {each.band for each in read.rates} == {0, 1, 2, 3, 4}


class Feed:
    """A web server that serves a feed as a test says."""

    def __init__(self) -> None:
        self.url = ""
        self.answer = web.Response()

    async def handle(self, _request: web.Request) -> web.Response:
        """Serve the answer."""
        return self.answer


@pytest.fixture
async def served() -> AsyncIterator[Feed]:
    """A feed on a free port of 127.0.0.1."""
    serving, app = Feed(), web.Application()
    app.router.add_get("/feed", serving.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}/feed"
        yield serving
    finally:
        await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as client:
        yield client


async def test_the_feed_is_fetched_with_its_time(served: Feed, http: aiohttp.ClientSession) -> None:
    """What was read says when."""
    served.answer = web.Response(body=msgspec.json.encode(feed()))
    read = await spot_advisor(http, served.url, now=NOW)
    assert (len(read.rates), read.fetched_at) == (2, NOW)


@pytest.mark.parametrize(
    ("status", "trouble"), [(503, Trouble.TRANSIENT), (403, Trouble.DENIED), (404, Trouble.PERMANENT)]
)
async def test_a_feed_that_is_not_served_is_an_error(
    served: Feed, http: aiohttp.ClientSession, status: int, trouble: Trouble
) -> None:
    """Of the kind its status says."""
    served.answer = web.Response(status=status)
    with pytest.raises(AwsError, match=f"HTTP{status}") as caught:
        await spot_advisor(http, served.url, now=NOW)
    assert caught.value.trouble is trouble


async def test_a_feed_out_of_reach_is_transient(http: aiohttp.ClientSession) -> None:
    """Nobody listens."""
    with pytest.raises(AwsError) as caught:
        await spot_advisor(http, "http://127.0.0.1:9/feed", now=NOW)
    assert caught.value.trouble is Trouble.TRANSIENT


async def test_a_feed_without_end_is_cut_off(served: Feed, http: aiohttp.ClientSession) -> None:
    """Nothing an address serves fills the memory."""
    served.answer = web.Response(body=b" " * (advisor.LARGEST_FEED + 1))
    with pytest.raises(AwsError, match="TooLarge"):
        await spot_advisor(http, served.url, now=NOW)

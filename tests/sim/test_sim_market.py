"""Prices: Spot history, the price list, the Advisor's feed; made up by seed, or recorded."""

import csv
import gzip
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotd.sim.process import SimulatedAccount, SimulatedAws, running_simulator

USED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
}


def filters(**fields: str) -> list[dict[str, str]]:
    return [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in fields.items()]


def pool(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["AvailabilityZone"], row["InstanceType"], row["ProductDescription"]


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


async def history(ec2: Any, **query: Any) -> list[dict[str, Any]]:
    pages = ec2.get_paginator("describe_spot_price_history").paginate(**query)
    return [row async for page in pages for row in page["SpotPriceHistory"]]


def usd(product: str) -> str:
    [term] = json.loads(product)["terms"]["OnDemand"].values()
    [dimension] = term["priceDimensions"].values()
    return str(dimension["pricePerUnit"]["USD"])


async def test_history_is_paged_newest_first(account: SimulatedAccount, client: Any) -> None:
    """Pages of at most MaxResults give each change once, newest first, with zone id, as decimal text."""
    async with client("ec2", account) as ec2:
        first = await ec2.describe_spot_price_history(InstanceTypes=["m5.large", "c5.large"], MaxResults=50)
        rows = await history(ec2, InstanceTypes=["m5.large", "c5.large"], PaginationConfig={"PageSize": 400})
    assert len(first["SpotPriceHistory"]) == 50
    assert first["NextToken"]
    assert len({(pool(row), row["Timestamp"]) for row in rows}) == len(rows) > 4000
    assert all(newer["Timestamp"] >= older["Timestamp"] for newer, older in pairwise(rows))
    assert {row["AvailabilityZoneId"][:7] for row in rows} == {"use1-az"}
    assert all(0 < float(row["SpotPrice"]) < 0.3 for row in rows)


async def test_the_price_in_force_at_the_start_is_part_of_it(account: SimulatedAccount, client: Any) -> None:
    """StartTime = now gives exactly one row a pool: the price that holds, set before."""
    now = datetime.now(UTC)
    query = {"InstanceTypes": ["m5.large"], "ProductDescriptions": ["Linux/UNIX"]}
    async with client("ec2", account) as ec2:
        current = await history(ec2, StartTime=now, **query)
        yesterday = await history(ec2, StartTime=now - timedelta(days=1), EndTime=now, **query)
    assert len(current) == 6
    assert all(row["Timestamp"] <= now for row in current)
    for _zone, rows in groupby(sorted(yesterday, key=pool), key=pool):
        assert sum(row["Timestamp"] < now - timedelta(days=1) for row in rows) == 1


async def test_prices_repeat_for_whoever_asks(sim: SimulatedAws, client: Any) -> None:
    """A pool is a zone id: two accounts see the same price there, whatever they call the zone."""
    seen = []
    for account in sim.accounts:
        async with client("ec2", account) as ec2:
            rows = await history(ec2, InstanceTypes=["c5.xlarge"], StartTime=datetime.now(UTC))
        seen.append({(row["AvailabilityZoneId"], row["ProductDescription"]): row["SpotPrice"] for row in rows})
    assert seen[0] == seen[1]


async def test_history_narrows_to_zone_and_product(account: SimulatedAccount, client: Any) -> None:
    """Zone and product select; an unknown type is refused."""
    async with client("ec2", account) as ec2:
        rows = await history(
            ec2, InstanceTypes=["m5.large"], AvailabilityZone="us-east-1b", ProductDescriptions=["Windows"]
        )
        with pytest.raises(ClientError) as raised:
            await ec2.describe_spot_price_history(InstanceTypes=["m5.tiny"])
    assert {pool(row) for row in rows} == {("us-east-1b", "m5.large", "Windows")}
    assert raised.value.response["Error"]["Code"] == "InvalidParameterValue"


async def test_the_price_list_has_the_public_price(account: SimulatedAccount, client: Any) -> None:
    """With all filters one product remains, priced as AWS's public list says, as text."""
    async with client("pricing", account) as pricing:
        wanted = filters(instanceType="m5.large", regionCode="us-east-1", **USED)
        linux = await pricing.get_products(ServiceCode="AmazonEC2", Filters=wanted)
        wanted = filters(
            instanceType="m5.large", location="US East (N. Virginia)", **USED | {"operatingSystem": "Windows"}
        )
        windows = await pricing.get_products(ServiceCode="AmazonEC2", Filters=wanted)
    assert [usd(product) for product in linux["PriceList"]] == ["0.0960000000"]
    assert [usd(product) for product in windows["PriceList"]] == ["0.1880000000"]


async def test_the_price_list_is_full_of_traps(account: SimulatedAccount, client: Any) -> None:
    """Without the filters the same type also comes as reservation at zero dollars and as dedicated."""
    async with client("pricing", account) as pricing:
        wanted = filters(instanceType="m5.large", regionCode="us-east-1", operatingSystem="Linux")
        answer = await pricing.get_products(ServiceCode="AmazonEC2", Filters=wanted)
    assert len(answer["PriceList"]) == 4
    assert "0.0000000000" in {usd(product) for product in answer["PriceList"]}


async def test_the_price_list_is_paged(account: SimulatedAccount, client: Any) -> None:
    """At most 100 products a page; the pages together hold each type once."""
    async with client("pricing", account) as pricing:
        pages = pricing.get_paginator("get_products").paginate(
            ServiceCode="AmazonEC2", Filters=filters(regionCode="eu-west-1", **USED)
        )
        sizes, names = [], []
        async for page in pages:
            sizes.append(len(page["PriceList"]))
            names += [json.loads(text)["product"]["attributes"]["instanceType"] for text in page["PriceList"]]
    assert max(sizes) == 100
    assert len(set(names)) == len(names) > 200


async def test_the_advisor_speaks_the_published_shape(sim: SimulatedAws) -> None:
    """Ranges, instance types, and per region and system each type's band and savings."""
    feed = fetch(sim.advisor_url)
    assert [row["label"] for row in feed["ranges"]] == ["<5%", "5-10%", "10-15%", "15-20%", ">20%"]
    rows = feed["spot_advisor"]["us-east-1"]["Linux"]
    assert set(rows["m5.large"]) == {"s", "r"}
    assert {row["r"] for row in rows.values()} == {0, 1, 2, 3, 4}
    assert feed["instance_types"]["m5.large"] == {"emr": False, "cores": 2, "ram_gb": 8.0}


async def test_the_advisor_can_break(sim: SimulatedAws) -> None:
    """A test decides what the feed's address answers."""
    sim.control("advisor", {"body": '{"renamed": {}}'})
    assert fetch(sim.advisor_url) == {"renamed": {}}
    sim.control("advisor", {"status": 503})
    with pytest.raises(urllib.error.HTTPError) as raised:
        fetch(sim.advisor_url)
    raised.value.close()
    assert raised.value.code == 503


async def test_recorded_data_is_served_as_it_is(data: Path, aws_session: Any) -> None:
    """With a data folder the on-demand and Spot prices, bands and types are the recorded ones."""
    with gzip.open(data / "ondemand_prices.csv.gz", "rt") as file:
        recorded = {(row["region"], row["instance_type"]): row["usd_per_hour"] for row in csv.DictReader(file)}
    with gzip.open(data / "spot_prices.csv.gz", "rt") as file:
        spot = {(row["az"], row["instance_type"]): float(row["usd_per_hour"]) for row in csv.DictReader(file)}
    with running_simulator(instances=4, regions=("us-west-2",), data=data) as sim:
        account = sim.accounts[0]
        keys = {"aws_access_key_id": account.access_key_id, "aws_secret_access_key": account.secret_access_key}
        options = {"endpoint_url": sim.endpoint, "region_name": "us-west-2", **keys}
        async with aws_session.client("pricing", **options) as pricing, aws_session.client("ec2", **options) as ec2:
            wanted = filters(instanceType="c5.4xlarge", regionCode="us-west-2", **USED)
            [product] = (await pricing.get_products(ServiceCode="AmazonEC2", Filters=wanted))["PriceList"]
            rows = await history(
                ec2, InstanceTypes=["c5.4xlarge"], StartTime=datetime.now(UTC), ProductDescriptions=["Linux/UNIX"]
            )
        feed = fetch(sim.advisor_url)
    assert float(usd(product)) == pytest.approx(float(recorded["us-west-2", "c5.4xlarge"]))
    assert all(
        float(row["SpotPrice"]) == pytest.approx(spot[row["AvailabilityZoneId"], "c5.4xlarge"], rel=0.12)
        for row in rows
    )
    assert feed == json.loads(gzip.decompress((data / "spot_advisor.json.gz").read_bytes()))

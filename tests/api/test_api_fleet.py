"""The inventory, prices and recommendations over HTTP, on both engines."""

import base64
import json
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from spotd.model.advice import Advice, Decision, Placement, Reason
from spotd.model.fleet import on_demand_prices, spot_prices
from spotd.model.instance import Instance, Lifecycle, State
from spotd.model.market import OnDemandPrice, SpotPrice
from spotd.store import accounts, instances, market, passes, recommendations, scopes
from tests.api.conftest import ACCOUNT, NOW, OTHER, Stage

REGION = "eu-west-1"


def machine(number: int, **facts: Any) -> Instance:
    """Return one running instance."""
    values: dict[str, Any] = {
        "instance_id": f"i-{number:017x}",
        "account_id": ACCOUNT,
        "region": REGION,
        "instance_type": "m5.large",
    }
    return Instance(**{**values, "state": State.RUNNING, "availability_zone": f"{REGION}a", **facts})


async def stocked(stage: Stage, *machines: Instance, account_id: str = ACCOUNT) -> int:
    """Store an account with one complete pass over one region; return the account's key."""
    account = await accounts.create_pending(stage.db, account_id=account_id, name="a", external_id=None, now=NOW)
    generation = await scopes.begin(stage.db, account.id, REGION, now=NOW)
    await instances.upsert_changed(stage.db, account.id, REGION, generation, machines, now=NOW)
    seen = {each.instance_id for each in machines}
    await instances.close_pass(stage.db, account.id, REGION, generation, seen_ids=seen, now=NOW)
    return account.id


async def test_instance_has_every_field(stage: Stage) -> None:
    """An instance comes with the contract's fields, and how old what is known of it is."""
    await stocked(stage, machine(1, tags={"Name": "käse ✓"}, asg_name="web", managed=True, launched_at=NOW))
    stage.clock.forward(seconds=42)
    [item] = (await stage.client.get("/api/v1/instances")).body["items"]

    assert item == {
        "instance_id": f"i-{1:017x}",
        "account_id": ACCOUNT,
        "region": REGION,
        "availability_zone": f"{REGION}a",
        "az_id": None,
        "instance_type": "m5.large",
        "lifecycle": "on-demand",
        "state": "running",
        "launched_at": "2026-11-23T21:00:00Z",
        "asg_name": "web",
        "cluster": None,
        "managed": True,
        "tags": {"Name": "käse ✓"},
        "load_balancers": [],
        "first_seen_at": "2026-11-23T21:00:00Z",
        "changed_at": "2026-11-23T21:00:00Z",
        "terminated_at": None,
        "stale_seconds": 42.0,
    }


FILTERS: dict[str, list[int]] = {
    "": [1, 2, 3],
    f"account_id={ACCOUNT}": [1, 2, 3],
    f"account_id={OTHER}": [],
    "account_id=999": [],
    f"region={REGION}": [1, 2, 3],
    "region=us-east-1": [],
    "state=stopped": [2],
    "lifecycle=spot": [3],
    "instance_type=m5.large": [1, 2],
    "tag=team": [1, 2],
    "tag=team%3Dred": [1],
    "tag=team&tag=env%3Dprod": [2],
    "tag=nothing": [],
}


async def test_filters(stage: Stage) -> None:
    """Each filter of the contract keeps what it names, and several must all hold."""
    await stocked(
        stage,
        machine(1, tags={"team": "red"}),
        machine(2, tags={"team": "blue", "env": "prod"}, state=State.STOPPED),
        machine(3, instance_type="c5.large", lifecycle=Lifecycle.SPOT),
    )
    for query, numbers in FILTERS.items():
        items = (await stage.client.get(f"/api/v1/instances?{query}")).body["items"]
        assert sorted(item["instance_id"] for item in items) == [f"i-{number:017x}" for number in numbers], query


async def test_instances_are_paged(stage: Stage) -> None:
    """Following the cursor gives each instance once; a cursor that is none of ours is a 422."""
    await stocked(stage, *(machine(number) for number in range(25)))
    seen: list[str] = []
    query = "limit=10"
    while query:
        page = (await stage.client.get(f"/api/v1/instances?{query}")).body
        seen += [item["instance_id"] for item in page["items"]]
        query = f"limit=10&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    bad = await stage.client.get("/api/v1/instances?cursor=nonsense")

    assert (len(seen), len(set(seen))) == (25, 25)
    assert (bad.status, bad.body["errors"][0]["pointer"]) == (422, "/cursor")


LISTS = ("instances", "accounts", "events", "prices", "recommendations", "tokens", "quarantine", "health/history")
FORGED: tuple[Any, ...] = ([1.5], ["a"], [], [2**70], [-1, 2], {"a": 1}, [None], ["\u0000", "", "", ""])


async def test_limit_is_between_one_and_a_thousand(lite: Stage) -> None:
    """Every list takes a limit from 1 to 1000, and no parameter it does not know."""
    for path in LISTS:
        queries = ("limit=1", "limit=1000", "limit=0", "limit=1001", "colour=red")
        statuses = [(await lite.client.get(f"/api/v1/{path}?{query}")).status for query in queries]
        assert statuses == [200, 200, 422, 422, 422], path


async def test_forged_cursor_is_refused(stage: Stage) -> None:
    """A cursor that nobody made never breaks anything."""
    for path, key in product(LISTS, FORGED):
        forged = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
        reply = await stage.client.get(f"/api/v1/{path}?cursor={forged}")
        assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, "/cursor"), (path, key)


async def test_overview_before_anything_is_known(stage: Stage) -> None:
    """What is not known is null with its reason, never zero."""
    body = (await stage.client.get("/api/v1/overview")).body

    assert body["counts"] == {"accounts": 0, "instances": 0, "by_state": {}, "by_lifecycle": {}}
    for field in ("cost_micros_per_hour", "cost_micros_per_month", "cpu_percent"):
        assert body[field] is None
        assert body["ages"][field]["age_seconds"] is None
        assert body["ages"][field]["reason"]


async def test_overview_in_figures(stage: Stage) -> None:
    """Counts, cost per hour and month from each instance's own price, each figure with its age."""
    await stocked(
        stage,
        machine(1),
        machine(2, lifecycle=Lifecycle.SPOT),
        machine(3, state=State.STOPPED),
    )
    facts: dict[str, Any] = {"region": REGION, "instance_type": "m5.large", "product": "Linux/UNIX", "observed_at": NOW}
    await market.record_on_demand(stage.db, [OnDemandPrice(micros=107_000, **facts)])
    await market.record_spot(stage.db, [SpotPrice(az=f"{REGION}a", micros=40_000, **facts)])
    for source in (spot_prices(REGION), on_demand_prices(REGION), spot_prices("us-east-1")):
        await passes.succeeded(stage.db, source, now=NOW + timedelta(seconds=10))
    stage.clock.forward(seconds=30)
    body = (await stage.client.get("/api/v1/overview")).body

    assert body["counts"]["instances"] == 3
    assert body["counts"]["by_state"] == {"running": 2, "stopped": 1}
    assert body["counts"]["by_lifecycle"] == {"on-demand": 2, "spot": 1}
    assert body["cost_micros_per_hour"] == 147_000
    assert body["cost_micros_per_month"] == 147_000 * 730
    assert body["ages"]["cost_micros_per_hour"] == {"age_seconds": 20, "reason": None}
    assert body["ages"]["counts"]["age_seconds"] == 30


async def test_prices(stage: Stage) -> None:
    """A pool's Spot price comes beside its on-demand price, with its source and time."""
    facts: dict[str, Any] = {"region": REGION, "instance_type": "m5.large", "product": "Linux/UNIX", "observed_at": NOW}
    await market.record_on_demand(stage.db, [OnDemandPrice(micros=107_000, **facts)])
    await market.record_spot(stage.db, [SpotPrice(az=f"{REGION}{zone}", micros=40_000, **facts) for zone in "ab"])
    items = (await stage.client.get(f"/api/v1/prices?az={REGION}a")).body["items"]

    assert items == [
        {
            "region": REGION,
            "az": f"{REGION}a",
            "az_id": None,
            "instance_type": "m5.large",
            "product": "Linux/UNIX",
            "spot_micros": 40_000,
            "on_demand_micros": 107_000,
            "source": "ec2:DescribeSpotPriceHistory",
            "observed_at": "2026-11-23T21:00:00Z",
        }
    ]


def advice(number: int, decision: Decision = Decision.RECOMMENDED, account_id: str = ACCOUNT) -> Advice:
    """Return one piece of advice."""
    here = Placement(instance_type="m5.large", availability_zone=f"{REGION}a", lifecycle="on-demand")
    there = Placement(instance_type="m5.large", availability_zone=f"{REGION}a", lifecycle="spot", micros_per_hour=1)
    return Advice(
        kind="single",
        account_id=account_id,
        instance_ids=(f"i-{number:017x}",),
        source=here,
        target=there if decision is Decision.RECOMMENDED else None,
        saving_micros_per_hour=67_000,
        saving_micros_per_month=67_000 * 730,
        verdict=decision,
        reasons=(Reason(rule="band", value=1, threshold=3, source="spot-advisor", age_seconds=60),),
        digest=f"digest-{account_id}-{number}",
    )


async def test_recommendations(stage: Stage) -> None:
    """Recommendations and refusals come in one list, with money, reasons and their life; filters keep what they name."""
    key = await stocked(stage)
    told = [advice(1), advice(2, Decision.REFUSED)]
    await recommendations.replace(stage.db, key, told, now=NOW, ttl=timedelta(hours=1))
    both = (await stage.client.get("/api/v1/recommendations")).body["items"]
    refused = (await stage.client.get("/api/v1/recommendations?verdict=refused&state=open")).body["items"]
    one = (await stage.client.get(f"/api/v1/recommendations/{both[0]['id']}")).body

    assert {item["verdict"] for item in both} == {"recommended", "refused"}
    assert [item["to"] for item in refused] == [None]
    assert one == both[0]
    assert set(one) == {
        "id", "kind", "account_id", "instance_ids", "from", "to", "saving_micros_per_hour", "saving_micros_per_month",
        "verdict", "reasons", "digest", "state", "created_at", "expires_at",
    }  # fmt: skip
    assert set(one["reasons"][0]) == {"rule", "value", "threshold", "source", "age_seconds"}


@pytest.mark.parametrize("query", ["verdict=recomended", "state=opened"])
async def test_misspelt_filter_of_recommendations(lite: Stage, query: str) -> None:
    """A verdict or state that does not exist is a 422, never an empty list."""
    assert (await lite.client.get(f"/api/v1/recommendations?{query}")).status == 422


async def test_recommendation_of_another_account_is_hidden(stage: Stage) -> None:
    """A limited token neither lists nor opens another account's recommendation."""
    key = await stocked(stage)
    await stocked(stage, account_id=OTHER)
    await recommendations.replace(stage.db, key, [advice(1)], now=NOW, ttl=timedelta(hours=1))
    [shown] = (await stage.client.get("/api/v1/recommendations")).body["items"]
    limited = await stage.token("read", account_id=OTHER)

    assert (await limited.get("/api/v1/recommendations")).body["items"] == []
    assert (await limited.get(f"/api/v1/recommendations/{shown['id']}")).status == 404


@pytest.mark.parametrize("ref", ["0", "x", "9" * 18, "9" * 40])
async def test_unknown_recommendation(stage: Stage, ref: str) -> None:
    """Whatever names no recommendation is a 404."""
    assert (await stage.client.get(f"/api/v1/recommendations/{ref}")).status == 404

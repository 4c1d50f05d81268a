"""CloudWatch: believable CPU, quick to ask for many instances at once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotd.sim.process import SimulatedAccount, SimulatedAws


def query(number: int, instance_id: str, stat: str = "Average", period: int = 3600) -> dict[str, Any]:
    dimensions = [{"Name": "InstanceId", "Value": instance_id}]
    metric = {"Namespace": "AWS/EC2", "MetricName": "CPUUtilization", "Dimensions": dimensions}
    return {"Id": f"q{number}", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


async def running(client: Any, account: SimulatedAccount, state: str = "running") -> list[str]:
    async with client("ec2", account) as ec2:
        answer = await ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": [state]}])
    return [one["InstanceId"] for reservation in answer["Reservations"] for one in reservation["Instances"]]


async def test_fleets_have_idle_and_busy_instances(account: SimulatedAccount, client: Any) -> None:
    """A day of hourly averages a running instance, some nearly idle, some busy, all within 0–100 %."""
    ids = await running(client, account)
    end = datetime.now(UTC)
    async with client("cloudwatch", account) as cloudwatch:
        answer = await cloudwatch.get_metric_data(
            MetricDataQueries=[query(number, instance_id) for number, instance_id in enumerate(ids)],
            StartTime=end - timedelta(hours=24),
            EndTime=end,
        )
    series = [result["Values"] for result in answer["MetricDataResults"]]
    means = sorted(sum(values) / len(values) for values in series if values)
    assert all(0 <= value <= 100 for values in series for value in values)
    assert means[0] < 10
    assert means[-1] > 35
    assert all(result["Timestamps"] == sorted(result["Timestamps"])[::-1] for result in answer["MetricDataResults"])


async def test_five_hundred_queries_go_in_one_call(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """The most CloudWatch takes is answered well within a second; one more is refused."""
    [instance_id, *_rest] = await running(client, account)
    end = datetime.now(UTC)
    span = {"StartTime": end - timedelta(hours=24), "EndTime": end}
    async with client("cloudwatch", account) as cloudwatch:
        queries = [query(number, instance_id) for number in range(501)]
        answer = await cloudwatch.get_metric_data(MetricDataQueries=queries[:500], **span)
        with pytest.raises(ClientError):
            await cloudwatch.get_metric_data(MetricDataQueries=queries, **span)
    assert len(answer["MetricDataResults"]) == 500
    [slowest, *_] = sorted(
        (row["ms"] for row in sim.control("calls?call=cloudwatch.GetMetricData")["calls"]), reverse=True
    )
    assert slowest < 1000


async def test_too_many_datapoints_go_onto_pages(account: SimulatedAccount, client: Any) -> None:
    """MaxDatapoints splits the answer; the token leads to the rest."""
    ids = (await running(client, account))[:10]
    end = datetime.now(UTC)
    async with client("cloudwatch", account) as cloudwatch:
        pages = cloudwatch.get_paginator("get_metric_data").paginate(
            MetricDataQueries=[query(number, instance_id) for number, instance_id in enumerate(ids)],
            StartTime=end - timedelta(hours=24),
            EndTime=end,
            MaxDatapoints=100,
        )
        seen = [[result["Id"] for result in page["MetricDataResults"]] async for page in pages]
    assert len(seen) > 1
    assert [name for names in seen for name in names] == [f"q{number}" for number in range(10)]


async def test_what_does_not_run_has_no_datapoints(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """A stopped instance, one of another account and one launched just now have nothing to tell of last night."""
    [stopped] = (await running(client, sim.accounts[1], "stopped"))[:1]
    wish = {"account_id": account.account_id, "region": "us-east-1", "instance_type": "t3.micro"}
    [young] = sim.control("launch", wish)["instance_ids"]
    end = datetime.now(UTC) - timedelta(hours=2)
    async with client("cloudwatch", account) as cloudwatch:
        answer = await cloudwatch.get_metric_data(
            MetricDataQueries=[query(number, name) for number, name in enumerate((stopped, young))],
            StartTime=end - timedelta(hours=3),
            EndTime=end,
        )
    sim.control("terminate", {"instance_id": young, "forget": True})
    assert [result["Values"] for result in answer["MetricDataResults"]] == [[], []]


async def test_statistics_agree_with_the_data(account: SimulatedAccount, client: Any) -> None:
    """GetMetricStatistics tells the same averages, and a maximum above each."""
    [instance_id, *_rest] = await running(client, account)
    end = datetime.now(UTC)
    span = {"StartTime": end - timedelta(hours=6), "EndTime": end}
    async with client("cloudwatch", account) as cloudwatch:
        data = await cloudwatch.get_metric_data(MetricDataQueries=[query(0, instance_id)], **span)
        metric = query(0, instance_id)["MetricStat"]["Metric"]
        answer = await cloudwatch.get_metric_statistics(
            **metric, Period=3600, Statistics=["Average", "Maximum"], **span
        )
    points = answer["Datapoints"]
    assert {point["Average"] for point in points} == set(data["MetricDataResults"][0]["Values"])
    assert all(point["Maximum"] >= point["Average"] for point in points)

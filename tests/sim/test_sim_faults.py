"""Faults on demand: each kind, aimed and counted."""

import asyncio
import time
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from botocore.parsers import ResponseParserError

from spotd.sim.process import SimulatedAccount, SimulatedAws


async def test_an_error_hits_only_what_it_is_aimed_at(
    sim: SimulatedAws, account: SimulatedAccount, client: Any
) -> None:
    """Account, region and operation narrow a fault; everything else goes on."""
    fault = {"account_id": account.account_id, "region": "eu-west-1", "operation": "DescribeInstances"}
    sim.control("faults", fault | {"code": "UnauthorizedOperation", "status": 403, "message": "denied by an SCP"})
    async with client("ec2", account, "eu-west-1") as hit:
        with pytest.raises(ClientError) as raised:
            await hit.describe_instances()
        assert await hit.describe_availability_zones()
    async with client("ec2", account) as elsewhere, client("ec2", sim.accounts[1], "eu-west-1") as other:
        assert await elsewhere.describe_instances()
        assert await other.describe_instances()
    assert raised.value.response["Error"] == {"Code": "UnauthorizedOperation", "Message": "denied by an SCP"}


async def test_throttling_ends_after_so_many_calls(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """`times` limits a fault, `skip` delays it: the second and third of four calls are throttled."""
    sim.control("faults", {"code": "RequestLimitExceeded", "status": 503, "times": 2, "skip": 1})
    outcomes = []
    async with client("ec2", account) as ec2:
        for _ in range(4):
            try:
                await ec2.describe_regions()
                outcomes.append("ok")
            except ClientError as error:
                outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["ok", "RequestLimitExceeded", "RequestLimitExceeded", "ok"]
    assert [fault["hits"] for fault in sim.control("faults")] == [4]


@pytest.mark.parametrize("service", ["sts", "sqs"])
async def test_errors_speak_the_protocol(
    sim: SimulatedAws, account: SimulatedAccount, client: Any, service: str
) -> None:
    """A fault's code reaches the caller of a query and of a JSON service alike."""
    sim.control("faults", {"service": service, "code": "ServiceUnavailable", "status": 503})
    async with client(service, account) as aws:
        with pytest.raises(ClientError) as raised:
            await (aws.get_caller_identity() if service == "sts" else aws.list_queues())
    assert raised.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"drop": True}, BotoCoreError),
        ({"truncate": "body"}, ResponseParserError),
        ({"truncate": "connection"}, Exception),
        ({"body": "<html>down for maintenance", "status": 200}, ResponseParserError),
    ],
)
async def test_broken_answers_break(
    sim: SimulatedAws, account: SimulatedAccount, client: Any, fault: dict[str, Any], error: type[Exception]
) -> None:
    """A dropped connection, a page cut in its middle and a page of garbage reach the client as such."""
    sim.control("faults", {"operation": "DescribeInstances", **fault})
    async with client("ec2", account) as ec2:
        with pytest.raises(error):
            await ec2.describe_instances()
    sim.control("faults", {"clear": True})
    async with client("ec2", account) as ec2:
        assert await ec2.describe_instances()


async def test_a_hanging_call_hangs_alone(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """One operation that never answers does not hold up the others."""
    sim.control("faults", {"operation": "DescribeRegions", "hang": True})
    async with client("ec2", account) as ec2:
        with pytest.raises((TimeoutError, ReadTimeoutError)):
            async with asyncio.timeout(0.5):
                await ec2.describe_regions()
        assert await ec2.describe_availability_zones()


async def test_latency_is_added_to_each_call(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Calls side by side are late together: 20 of them at 200 ms take nowhere near 4 s."""
    sim.control("latency", {"seconds": 0.2})
    async with client("ec2", account, max_pool_connections=20) as ec2:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(ec2.describe_availability_zones())
        took = time.monotonic() - started
    assert 0.2 <= took < 2


def test_an_unknown_field_is_refused(sim: SimulatedAws) -> None:
    """A misspelt fault is an error, not a fault that never strikes."""
    with pytest.raises(ValueError, match="unknown fields"):
        sim.control("faults", {"operatoin": "DescribeRegions"})


async def test_calls_are_counted_and_kept(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Whoever doubts what was sent can read it: operation, region, account, key and status."""
    async with client("ec2", account, "eu-west-1") as ec2:
        await ec2.describe_availability_zones()
    [last] = sim.control("calls?limit=1")["calls"]
    facts = (last["call"], last["region"], last["account_id"], last["access_key_id"], last["status"])
    assert facts == (
        "ec2.DescribeAvailabilityZones",
        "eu-west-1",
        account.account_id,
        account.access_key_id,
        200,
    )

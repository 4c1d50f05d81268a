"""Events: notices through EventBridge rules into the queue, and what they announce coming true."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotd.sim.process import SimulatedAccount, SimulatedAws


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Return when a condition of the other process holds; fail after ten seconds."""
    async with asyncio.timeout(10):
        while not await check():  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.02)


async def receive(sqs: Any, sim: SimulatedAws, *, wait: int = 5) -> list[dict[str, Any]]:
    """All bodies of one answer, deleted from the queue."""
    answer = await sqs.receive_message(QueueUrl=sim.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
    messages = answer.get("Messages", [])
    entries = [{"Id": str(n), "ReceiptHandle": message["ReceiptHandle"]} for n, message in enumerate(messages)]
    if entries:
        await sqs.delete_message_batch(QueueUrl=sim.queue_url, Entries=entries)
    return [json.loads(message["Body"]) for message in messages]


async def drained(sqs: Any, sim: SimulatedAws, *, until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Everything received up to and including the event looked for."""
    bodies: list[dict[str, Any]] = []
    async with asyncio.timeout(10):
        while not any(until(body) for body in bodies):
            bodies += await receive(sqs, sim)
    return bodies


def launch(sim: SimulatedAws, account: SimulatedAccount, **wish: Any) -> str:
    defaults = {"account_id": account.account_id, "region": "eu-west-1", "instance_type": "c5.large", "spot": True}
    [instance_id] = sim.control("launch", defaults | wish)["instance_ids"]
    return str(instance_id)


async def test_an_interruption_is_announced_and_comes_true(
    sim: SimulatedAws, account: SimulatedAccount, client: Any
) -> None:
    """The notice names the instance, comes from its account and region; after the notice the instance is gone."""
    instance_id = launch(sim, account)
    async with client("sqs", sim.daemon) as sqs:
        sent = sim.control("interrupt", {"instance_id": instance_id})

        def is_gone(body: dict[str, Any]) -> bool:
            return dict(body["detail"]) == {"instance-id": instance_id, "state": "terminated"}

        bodies = [body for body in await drained(sqs, sim, until=is_gone) if instance_id in str(body)]
    notice = next(body for body in bodies if "Interruption" in body["detail-type"])
    assert notice == sent
    assert notice["detail"] == {"instance-id": instance_id, "instance-action": "terminate"}
    assert (notice["source"], notice["account"], notice["region"]) == ("aws.ec2", account.account_id, "eu-west-1")
    states = [body["detail"]["state"] for body in bodies if "State-change" in body["detail-type"]]
    assert states[-2:] == ["shutting-down", "terminated"]
    async with client("ec2", account, "eu-west-1") as ec2:
        answer = await ec2.describe_instances(InstanceIds=[instance_id])
    assert answer["Reservations"][0]["Instances"][0]["StateReason"]["Code"] == "Server.SpotInstanceTermination"


async def test_a_group_replaces_what_it_loses(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """When a group's Spot instance is reclaimed, the group holds a new one of the same type instead."""
    async with client("autoscaling", account) as scaling:

        async def members() -> dict[str, list[str]]:
            groups = (await scaling.describe_auto_scaling_groups())["AutoScalingGroups"]
            return {group["AutoScalingGroupName"]: [i["InstanceId"] for i in group["Instances"]] for group in groups}

        before = await members()
        async with client("ec2", account) as ec2:
            filters = [{"Name": "instance-lifecycle", "Values": ["spot"]}]
            spot = (await ec2.describe_instances(Filters=filters))["Reservations"]
        spot_ids = {one["InstanceId"] for reservation in spot for one in reservation["Instances"]}
        name, lost = next((name, i) for name, ids in before.items() for i in ids if i in spot_ids)
        sim.control("interrupt", {"instance_id": lost})

        async def replaced() -> bool:
            return bool(lost not in (await members())[name])

        await eventually(replaced)
        after = await members()
    assert len(after[name]) == len(before[name])


async def test_a_rebalance_recommendation_is_only_a_hint(
    sim: SimulatedAws, account: SimulatedAccount, client: Any
) -> None:
    """It is told like an interruption, but nothing happens to the instance."""
    instance_id = launch(sim, account)
    sim.control("rebalance", {"instance_id": instance_id})
    async with client("sqs", sim.daemon) as sqs:
        bodies = await drained(sqs, sim, until=lambda body: "Rebalance" in body["detail-type"])
    sim.control("terminate", {"instance_id": instance_id, "forget": True})
    assert bodies[-1]["detail"]["instance-id"] == instance_id or instance_id in str(bodies)


async def test_every_change_of_state_is_told(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Launch, stop, start and termination each give their two notices, in order."""
    instance_id = launch(sim, account)
    async with client("sqs", sim.daemon) as sqs:
        seen: list[str] = []
        for action, last in ((None, "running"), ("stop", "stopped"), ("start", "running"), ("terminate", "terminated")):
            if action:
                sim.control(action, {"instance_id": instance_id})
            told = {"instance-id": instance_id, "state": last}
            bodies = await drained(sqs, sim, until=lambda body, told=told: body["detail"] == told)  # type: ignore[misc]
            seen += [body["detail"]["state"] for body in bodies if instance_id in str(body)]
    assert seen == [
        "pending", "running", "stopping", "stopped", "pending", "running", "shutting-down", "terminated",
    ]  # fmt: skip


async def test_a_long_poll_ends_when_a_message_comes(sim: SimulatedAws, client: Any) -> None:
    """A waiting receiver gets a message at once, and an empty answer only after its wait."""
    async with client("sqs", sim.daemon) as sqs:
        while await receive(sqs, sim, wait=0):
            pass
        started = time.monotonic()
        assert await receive(sqs, sim, wait=1) == []
        waited = time.monotonic() - started
        async with asyncio.TaskGroup() as group:
            receiving = group.create_task(receive(sqs, sim, wait=10))
            sim.control("message", {"body": '{"hello": "world"}'})
    assert waited >= 0.9
    assert receiving.result() == [{"hello": "world"}]


async def test_an_event_passes_only_rules_that_match(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """The rule lets aws.ec2 through; another source ends at the bus."""
    event = {
        "source": "custom.app",
        "detail-type": "x",
        "account": account.account_id,
        "region": "us-east-1",
        "detail": {},
    }
    async with client("sqs", sim.daemon) as sqs:
        sim.control("event", event | {"id": "not-for-us"})
        sim.control("event", event | {"id": "for-us", "source": "aws.ec2"})
        bodies = await drained(sqs, sim, until=lambda body: body.get("id") == "for-us")
    assert "not-for-us" not in str(bodies)


async def test_the_queue_belongs_to_the_daemon(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Another account may not read it."""
    async with client("sqs", account) as sqs:
        with pytest.raises(ClientError) as raised:
            await sqs.receive_message(QueueUrl=sim.queue_url)
    assert raised.value.response["Error"]["Code"] == "AccessDeniedException"


async def test_unread_messages_come_again(sim: SimulatedAws, client: Any) -> None:
    """What is received but not deleted is visible again after the visibility timeout, and counts its receipts."""
    async with client("sqs", sim.daemon) as sqs:
        while await receive(sqs, sim, wait=0):
            pass
        sim.control("message", {"body": "poison"})
        query = {"QueueUrl": sim.queue_url, "WaitTimeSeconds": 5, "AttributeNames": ["ApproximateReceiveCount"]}
        [first] = (await sqs.receive_message(**query, VisibilityTimeout=0))["Messages"]
        [again] = (await sqs.receive_message(**query))["Messages"]
        await sqs.delete_message(QueueUrl=sim.queue_url, ReceiptHandle=again["ReceiptHandle"])
    assert first["MessageId"] == again["MessageId"]
    assert again["Attributes"]["ApproximateReceiveCount"] == "2"

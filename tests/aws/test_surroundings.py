"""Regions, zones, load balancers, metrics and queues, as AWS answers them and as it should not."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from spotd.aws.errors import AwsError, Trouble
from spotd.aws.instances import RegionSet, enabled_regions, list_instance_types, load_balancers_of, zones
from spotd.aws.metrics import cpu_usage
from spotd.aws.queue import Message, Queue, region_of
from spotd.aws.session import AccountSession, Aws
from spotd.errors import InvalidInput
from tests.aws.fakes import XML, FakeAws, Seen, js, query_refusal, refusal, regions, xml

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


async def test_regions_are_told_apart_by_opt_in(fake: FakeAws, session: AccountSession) -> None:
    """What the account may use, and what exists but is closed to it."""
    fake.on("DescribeRegions", regions("us-east-1", "eu-west-1", closed=("af-south-1",)))
    assert await enabled_regions(session) == RegionSet(("eu-west-1", "us-east-1"), ("af-south-1",))


async def test_another_region_is_asked_where_home_is_closed(fake: FakeAws, session: AccountSession) -> None:
    """A policy that closes us-east-1 hides no other region."""

    def answer(seen: Seen) -> web.StreamResponse:
        if seen.region == "us-east-1":
            return refusal("UnauthorizedOperation", "explicit deny in a service control policy", status=403)
        return regions("eu-west-1")

    fake.on("DescribeRegions", answer)
    assert (await enabled_regions(session)).enabled == ("eu-west-1",)
    assert [each.region for each in fake.seen] == ["us-east-1", "eu-west-1"]


async def test_bad_credentials_are_not_tried_elsewhere(fake: FakeAws, session: AccountSession) -> None:
    """Four more refusals would say the same."""
    fake.on("DescribeRegions", refusal("AuthFailure", status=401))
    with pytest.raises(AwsError, match="AuthFailure"):
        await enabled_regions(session)
    assert len(fake.seen) == 1


async def test_no_region_at_all_is_no_answer(fake: FakeAws, session: AccountSession) -> None:
    """An account with no regions would lose its whole inventory to a broken answer."""
    fake.on("DescribeRegions", regions())
    with pytest.raises(AwsError, match="no region at all"):
        await enabled_regions(session)


async def test_zone_names_have_their_ids(fake: FakeAws, session: AccountSession) -> None:
    """A zone without an id is left out."""
    rows = "<item><zoneName>us-east-1a</zoneName><zoneId>use1-az4</zoneId></item><item><zoneName>odd</zoneName></item>"
    fake.on(
        "DescribeAvailabilityZones",
        xml("DescribeAvailabilityZones", f"<availabilityZoneInfo>{rows}</availabilityZoneInfo>"),
    )
    assert await zones(session, "us-east-1") == {"us-east-1a": "use1-az4"}


def target_group(name: str, *, balancer: str = "", kind: str = "instance") -> str:
    """Return one target group of DescribeTargetGroups."""
    arn = f"arn:aws:elasticloadbalancing:eu-west-1:111111111111:targetgroup/{name}/1"
    served = f"<member>arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/{balancer}/1</member>" if balancer else ""
    return (
        f"<member><TargetGroupArn>{arn}</TargetGroupArn><TargetGroupName>{name}</TargetGroupName>"
        f"<TargetType>{kind}</TargetType><LoadBalancerArns>{served}</LoadBalancerArns></member>"
    )


async def test_instances_know_what_serves_them(fake: FakeAws, session: AccountSession) -> None:
    """By balancer, by target group where there is none, over all pages; address targets are not asked for."""
    first = f"<TargetGroups>{target_group('web', balancer='app/front')}</TargetGroups><NextMarker>2</NextMarker>"
    groups = target_group("idle") + target_group("by-address", balancer="net/x", kind="ip")
    fake.sequence(
        "DescribeTargetGroups",
        xml("DescribeTargetGroups", first, wrapped=True),
        xml("DescribeTargetGroups", f"<TargetGroups>{groups}</TargetGroups>", wrapped=True),
    )
    health = "<TargetHealthDescriptions><member><Target><Id>i-1</Id></Target></member></TargetHealthDescriptions>"
    fake.on("DescribeTargetHealth", xml("DescribeTargetHealth", health, wrapped=True))
    assert await load_balancers_of(session, "eu-west-1") == {"i-1": ("app/front", "targetgroup/idle")}
    assert len(fake.calls("DescribeTargetHealth")) == 2


async def test_one_denied_api_is_that_apis_error_only(fake: FakeAws, session: AccountSession) -> None:
    """AccessDenied on load balancers says which call it was, and the rest of the region goes on."""
    fake.on("DescribeTargetGroups", query_refusal("AccessDenied", status=403)).on(
        "DescribeRegions", regions("us-east-1")
    )
    with pytest.raises(AwsError) as caught:
        await load_balancers_of(session, "eu-west-1")
    assert (caught.value.trouble, caught.value.service) == (Trouble.DENIED, "elbv2")
    assert await enabled_regions(session)


async def test_types_are_asked_for_by_filter_and_odd_ones_left_out(fake: FakeAws, session: AccountSession) -> None:
    """A name the region does not offer, or a row without the basics, costs nothing but itself."""
    good = (
        "<item><instanceType>m5.large</instanceType><vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo>"
        "<memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo></item>"
    )
    rows = f"<instanceTypeSet>{good}<item><instanceType>odd.large</instanceType></item></instanceTypeSet>"
    fake.on("DescribeInstanceTypes", xml("DescribeInstanceTypes", rows))
    found = await list_instance_types(session, "us-east-1", ["m5.large", "odd.large", "gone.large"])
    assert [each.name for each in found] == ["m5.large"]
    assert fake.seen[0].params["Filter.1.Name"] == "instance-type"


# --- CloudWatch ----------------------------------------------------------------


def series(identity: str, *points: tuple[datetime, float]) -> str:
    """Return one series of GetMetricData."""
    times = "".join(f"<member>{at.isoformat()}</member>" for at, _ in points)
    values = "".join(f"<member>{value}</member>" for _, value in points)
    return f"<member><Id>{identity}</Id><Timestamps>{times}</Timestamps><Values>{values}</Values></member>"


def metric_page(*rows: str, token: str = "") -> web.StreamResponse:
    """Return a page of GetMetricData."""
    more = f"<NextToken>{token}</NextToken>" if token else ""
    return xml("GetMetricData", f"<MetricDataResults>{''.join(rows)}</MetricDataResults>{more}", wrapped=True)


async def test_cpu_is_averaged_over_pages_and_unknown_instances_are_left_out(
    fake: FakeAws, session: AccountSession
) -> None:
    """A series spread over two pages is one; an instance without data is not an idle one."""
    hours = [datetime(2026, 11, 23, hour, 30, tzinfo=UTC) for hour in (10, 11)]
    fake.sequence(
        "GetMetricData",
        metric_page(series("average_0", (hours[0], 10.0)), series("peak_0", (hours[0], 30.0)), token="2"),
        metric_page(series("average_0", (hours[1], 20.0)), series("peak_0", (hours[1], 90.5)), series("average_1")),
    )
    usage = await cpu_usage(session, "us-east-1", ["i-a", "i-b"], now=NOW)
    assert usage.keys() == {"i-a"}
    assert (usage["i-a"].average_percent, usage["i-a"].peak_percent, usage["i-a"].hours) == (15.0, 90.5, 2)
    assert usage["i-a"].observed_at == NOW


async def test_at_most_500_queries_go_into_one_request(fake: FakeAws, session: AccountSession) -> None:
    """AWS's bound; two statistics an instance."""
    fake.on("GetMetricData", metric_page())
    await cpu_usage(session, "us-east-1", [f"i-{n:04}" for n in range(251)], now=NOW)
    sizes = [sum(key.endswith(".Id") for key in each.params) for each in fake.seen]
    assert sizes == [500, 2]


async def test_nothing_is_asked_about_no_instances(fake: FakeAws, session: AccountSession) -> None:
    """AWS bills each request's metrics, and an empty one is an error."""
    assert await cpu_usage(session, "us-east-1", [], now=NOW) == {}
    assert fake.seen == []


# --- SQS -----------------------------------------------------------------------

URL = "https://sqs.eu-west-1.amazonaws.com/111111111111/spotd"


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (URL, "eu-west-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"),
        ("https://eu-west-1.queue.amazonaws.com/1/q", "eu-west-1"),
        ("https://queue.amazonaws.com/1/q", "us-east-1"),
        ("http://127.0.0.1:5000/1/q", "us-east-1"),
    ],
)
def test_a_queues_region_stands_in_its_url(url: str, region: str) -> None:
    """An address that names none is at home."""
    assert region_of(url, "us-east-1") == region


@pytest.mark.parametrize("url", ["", "spotd", "arn:aws:sqs:eu-west-1:1:q", "ftp://sqs.eu-west-1.amazonaws.com/1/q"])
def test_what_is_no_queue_url_is_refused(url: str) -> None:
    """A name or an ARN is not an address."""
    with pytest.raises(InvalidInput, match="queue"):
        region_of(url, "us-east-1")


async def test_a_receive_waits_twenty_seconds_and_gives_what_came(fake: FakeAws, aws: Aws) -> None:
    """With the daemon's own identity; a message that could not be deleted is none."""
    message = {"MessageId": "m", "ReceiptHandle": "r", "Body": "{}", "Attributes": {"ApproximateReceiveCount": "3"}}
    fake.on("ReceiveMessage", js({"Messages": [message, {"MessageId": "odd"}]}))
    assert await Queue(aws.own(), URL).receive() == (Message("m", "r", "{}", 3),)
    [seen] = fake.seen
    assert (seen.access_key, seen.region, seen.params["WaitTimeSeconds"]) == ("OWN", "eu-west-1", 20)


async def test_an_empty_receive_is_no_message(fake: FakeAws, aws: Aws) -> None:
    """SQS leaves the list out."""
    fake.on("ReceiveMessage", js({}))
    assert await Queue(aws.own(), URL).receive() == ()


async def test_messages_are_deleted_ten_at_a_time(fake: FakeAws, aws: Aws) -> None:
    """SQS's bound for a batch."""
    fake.on("DeleteMessageBatch", js({"Successful": []}))
    await Queue(aws.own(), URL).delete(tuple(Message(str(n), f"r{n}", "") for n in range(23)))
    assert [len(each.params["Entries"]) for each in fake.seen] == [10, 10, 3]


@pytest.mark.parametrize(("code", "fails"), [("ReceiptHandleIsInvalid", False), ("InternalError", True)])
async def test_a_message_that_stays_is_an_error_unless_it_came_again(
    fake: FakeAws,
    aws: Aws,
    code: str,
    fails: bool,  # noqa: FBT001 - a column
) -> None:
    """An outdated receipt means another delivery, which will be deleted in its turn."""
    failed: list[dict[str, Any]] = [{"Id": "0", "Code": code, "Message": "no", "SenderFault": True}]
    fake.on("DeleteMessageBatch", js({"Failed": failed}))
    queue, messages = Queue(aws.own(), URL), (Message("m", "r", ""),)
    if not fails:
        await queue.delete(messages)
        return
    with pytest.raises(AwsError, match="1 messages were not deleted"):
        await queue.delete(messages)


async def test_the_depth_of_a_queue_is_a_number_or_an_error(fake: FakeAws, aws: Aws) -> None:
    """Never a guessed zero."""
    fake.sequence("GetQueueAttributes", js({"Attributes": {"ApproximateNumberOfMessages": "42"}}), js({}))
    queue = Queue(aws.own(), URL)
    assert await queue.depth() == 42
    with pytest.raises(AwsError):
        await queue.depth()


# --- the edge itself -------------------------------------------------------------


async def test_an_operation_that_is_not_listed_is_refused(fake: FakeAws, session: AccountSession) -> None:
    """Nothing is sent for which no policy asked."""
    with pytest.raises(InvalidInput, match="ec2:TerminateInstances"):
        await session.call("ec2", "us-east-1", "TerminateInstances", InstanceIds=["i-1"])
    assert fake.seen == []


async def test_an_endpoint_that_fails_again_and_again_is_left_alone(
    fake: FakeAws, aws: Aws, session: AccountSession
) -> None:
    """After five calls without an answer nothing is sent for a while, and it can be read why."""
    fake.on("DescribeRegions", web.Response(text="<cut", content_type=XML))
    for _ in range(7):
        with pytest.raises(AwsError):
            await session.call("ec2", "us-east-1", "DescribeRegions")
    assert len(fake.seen) == 5
    [open_one] = aws.breakers()
    assert (open_one.region, open_one.service, "MalformedReply" in open_one.last_error) == ("us-east-1", "ec2", True)


async def test_retries_end_for_all_when_the_process_retried_enough(
    fake: FakeAws, aws: Aws, session: AccountSession
) -> None:
    """With the budget spent, the first answer is the call's answer."""
    while aws._edge.limits.retries.spend():
        pass
    fake.on("DescribeRegions", refusal("InternalError", status=500))
    with pytest.raises(AwsError, match="InternalError"):
        await session.call("ec2", "us-east-1", "DescribeRegions")
    assert len(fake.seen) == 1

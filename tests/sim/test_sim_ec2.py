"""EC2 as its clients see it: instances, pages, filters, places, types."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotd.sim.process import SimulatedAccount, SimulatedAws


async def instances(ec2: Any, **query: Any) -> list[dict[str, Any]]:
    answer = await ec2.describe_instances(**query)
    return [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]


async def fleet_of(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> list[dict[str, Any]]:
    found = []
    for region in sim.regions:
        async with client("ec2", account, region) as ec2:
            found += await instances(ec2)
    return found


async def test_the_fleets_are_as_large_as_asked(sim: SimulatedAws, client: Any) -> None:
    """Eighty instances over two accounts and two regions, each in its own account only."""
    fleets = [await fleet_of(sim, account, client) for account in sim.accounts]
    ids = [instance["InstanceId"] for fleet in fleets for instance in fleet]
    assert len(set(ids)) == len(ids) >= 80
    assert all(len(fleet) >= 40 for fleet in fleets)


async def test_an_instance_tells_what_discovery_needs(account: SimulatedAccount, client: Any) -> None:
    """Each instance has type, place with zone id, state, launch time, tags, volumes and the image's facts."""
    async with client("ec2", account) as ec2:
        found = await instances(ec2)
    for instance in found:
        assert instance["Placement"]["AvailabilityZoneId"].startswith("use1-az")
        assert instance["State"]["Name"] in {"running", "stopped"}
        assert instance["Architecture"] in {"x86_64", "arm64"}
        assert instance["VirtualizationType"] in {"hvm", "paravirtual"}
        assert instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"].startswith("vol-")
        assert {"Name", "team", "env"} <= {tag["Key"] for tag in instance["Tags"]}


async def test_pages_give_each_instance_once(account: SimulatedAccount, client: Any) -> None:
    """Following the tokens gives what one large answer gives, in pages of the asked size."""
    async with client("ec2", account) as ec2:
        whole = {instance["InstanceId"] for instance in await instances(ec2)}
        pages = [
            [instance["InstanceId"] for reservation in page["Reservations"] for instance in reservation["Instances"]]
            async for page in ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 7})
        ]
    assert [len(page) for page in pages[:-1]] == [7] * (len(pages) - 1)
    assert sorted(whole) == sorted(one for page in pages for one in page)


async def test_filters_select(account: SimulatedAccount, client: Any) -> None:
    """State, lifecycle, tag with pattern, and id select what they say."""
    async with client("ec2", account) as ec2:
        everything = await instances(ec2)
        spot = await instances(ec2, Filters=[{"Name": "instance-lifecycle", "Values": ["spot"]}])
        web = await instances(ec2, Filters=[{"Name": "tag:Name", "Values": ["prod-*"]}])
        none = await instances(ec2, Filters=[{"Name": "instance-state-name", "Values": ["terminated"]}])
        one = await instances(ec2, InstanceIds=[everything[0]["InstanceId"]])
    expected = [instance["InstanceId"] for instance in everything if instance.get("InstanceLifecycle") == "spot"]
    assert [instance["InstanceId"] for instance in spot] == expected
    assert expected
    assert len(web) == len(everything)
    assert (none, len(one)) == ([], 1)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceID.NotFound"),
        ({"InstanceIds": ["nonsense"]}, "InvalidInstanceID.Malformed"),
        ({"MaxResults": 2}, "InvalidParameterValue"),
        ({"NextToken": "###"}, "InvalidNextToken"),
        ({"Filters": [{"Name": "colour", "Values": ["red"]}]}, "InvalidParameterValue"),
    ],
)
async def test_wrong_queries_are_refused(
    account: SimulatedAccount, client: Any, query: dict[str, Any], expected: str
) -> None:
    """EC2's own error codes for what cannot be asked."""
    async with client("ec2", account) as ec2:
        with pytest.raises(ClientError) as raised:
            await ec2.describe_instances(**query)
    assert raised.value.response["Error"]["Code"] == expected


async def test_empty_regions_answer_nothing(account: SimulatedAccount, client: Any) -> None:
    """An enabled region without instances has an empty listing."""
    async with client("ec2", account, "sa-east-1") as ec2:
        assert await instances(ec2) == []


async def test_regions_say_whether_they_are_opted_into(account: SimulatedAccount, client: Any) -> None:
    """Only enabled regions by default; all of them, with their status, on request."""
    async with client("ec2", account) as ec2:
        enabled = (await ec2.describe_regions())["Regions"]
        everything = (await ec2.describe_regions(AllRegions=True))["Regions"]
    assert len(enabled) == 17
    denied = {row["RegionName"] for row in everything if row["OptInStatus"] == "not-opted-in"}
    assert denied == {"af-south-1", "ap-east-1", "eu-south-1", "me-south-1"}


async def test_zone_names_hide_different_zones(sim: SimulatedAws, client: Any) -> None:
    """The same zone name is another zone in another account, as on AWS; ids are the common tongue."""
    seen = []
    for account in sim.accounts:
        async with client("ec2", account) as ec2:
            zones = (await ec2.describe_availability_zones())["AvailabilityZones"]
            subnets = (await ec2.describe_subnets())["Subnets"]
        names = {zone["ZoneName"]: zone["ZoneId"] for zone in zones}
        assert {subnet["AvailabilityZone"]: subnet["AvailabilityZoneId"] for subnet in subnets} == names
        seen.append(names)
    assert seen[0] != seen[1]
    assert sorted(seen[0].values()) == sorted(seen[1].values())


async def test_instance_types_are_the_real_ones(account: SimulatedAccount, client: Any) -> None:
    """Named types come with their real facts, an unknown one is refused, the whole list comes in pages."""
    async with client("ec2", account) as ec2:
        [facts] = (await ec2.describe_instance_types(InstanceTypes=["m5.large"]))["InstanceTypes"]
        with pytest.raises(ClientError) as raised:
            await ec2.describe_instance_types(InstanceTypes=["m5.tiny"])
        names = [
            row["InstanceType"]
            async for page in ec2.get_paginator("describe_instance_types").paginate()
            for row in page["InstanceTypes"]
        ]
        offered = await ec2.describe_instance_type_offerings(LocationType="availability-zone")
    assert (facts["VCpuInfo"]["DefaultVCpus"], facts["MemoryInfo"]["SizeInMiB"]) == (2, 8192)
    assert raised.value.response["Error"]["Code"] == "InvalidInstanceType"
    assert len(names) == len(set(names)) > 500
    assert {row["Location"] for row in offered["InstanceTypeOfferings"]} >= {"us-east-1a", "us-east-1f"}


async def test_what_is_launched_through_the_api_is_listed(account: SimulatedAccount, client: Any) -> None:
    """RunInstances, StopInstances and TerminateInstances change what DescribeInstances tells."""
    async with client("ec2", account) as ec2:
        launched = await ec2.run_instances(
            ImageId="ami-000000a1000000001", InstanceType="m5.large", MinCount=1, MaxCount=1
        )
        instance_id = launched["Instances"][0]["InstanceId"]
        [running] = await instances(ec2, InstanceIds=[instance_id])
        await ec2.stop_instances(InstanceIds=[instance_id])
        [stopped] = await instances(ec2, InstanceIds=[instance_id])
        await ec2.terminate_instances(InstanceIds=[instance_id])
        [gone] = await instances(ec2, InstanceIds=[instance_id])
    states = [instance["State"]["Name"] for instance in (running, stopped, gone)]
    assert states == ["running", "stopped", "terminated"]
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


async def test_any_text_survives_as_a_tag(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Markup, emoji, right-to-left text and 10,000 characters come back as they were."""
    tags = {"Name": "<b>&amp;\"'</b>", "emoji": "🚀 日本語 עברית", "long": "x" * 10_000, "": ""}
    wish = {"account_id": account.account_id, "region": "us-east-1", "instance_type": "t3.micro", "tags": tags}
    [instance_id] = sim.control("launch", wish)["instance_ids"]
    async with client("ec2", account) as ec2:
        [told] = await instances(ec2, InstanceIds=[instance_id])
    sim.control("terminate", {"instance_id": instance_id, "forget": True})
    assert {tag["Key"]: tag["Value"] for tag in told["Tags"]} == tags


async def test_fields_can_be_left_out(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """A test can make an instance tell less, or something unheard of."""
    wish = {"account_id": account.account_id, "region": "us-east-1", "instance_type": "t3.micro"}
    [instance_id] = sim.control("launch", wish)["instance_ids"]
    fields = {"Placement": None, "LaunchTime": None, "InstanceLifecycle": "capacity-block"}
    sim.control("override", {"instance_id": instance_id, "fields": fields})
    async with client("ec2", account) as ec2:
        [told] = await instances(ec2, InstanceIds=[instance_id])
    sim.control("terminate", {"instance_id": instance_id, "forget": True})
    assert told["InstanceLifecycle"] == "capacity-block"
    assert not {"Placement", "LaunchTime", "Tags"} & set(told)


async def test_groups_and_balancers_agree_with_the_instances(account: SimulatedAccount, client: Any) -> None:
    """Auto Scaling groups hold the instances tagged so, and target groups some of them, healthy."""
    async with client("ec2", account) as ec2:
        tagged = {
            instance["InstanceId"]: tag["Value"]
            for instance in await instances(ec2)
            for tag in instance.get("Tags", [])
            if tag["Key"] == "aws:autoscaling:groupName"
        }
    async with client("autoscaling", account) as scaling:
        groups = (await scaling.describe_auto_scaling_groups())["AutoScalingGroups"]
    members = {one["InstanceId"]: group["AutoScalingGroupName"] for group in groups for one in group["Instances"]}
    async with client("elbv2", account) as elb:
        target_groups = (await elb.describe_target_groups())["TargetGroups"]
        arn = target_groups[0]["TargetGroupArn"]
        health = (await elb.describe_target_health(TargetGroupArn=arn))["TargetHealthDescriptions"]
    assert members == tagged
    assert {row["Target"]["Id"] for row in health} <= set(tagged)
    assert {row["TargetHealth"]["State"] for row in health} == {"healthy"}


async def test_what_is_not_simulated_says_so(account: SimulatedAccount, client: Any) -> None:
    """An operation nobody implements answers InvalidAction, which no client retries."""
    async with client("ec2", account) as ec2:
        with pytest.raises(ClientError) as raised:
            await ec2.get_spot_placement_scores(InstanceTypes=["c5.large"], TargetCapacity=1)
    assert raised.value.response["Error"]["Code"] == "InvalidAction"

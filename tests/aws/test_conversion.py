"""AWS's answers become model types at the door."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws.errors import MalformedReply
from spotd.aws.instances import instance_from, instance_type_from
from spotd.aws.instances.convert import cluster_of, is_managed
from spotd.aws.prices import on_demand_from, spot_price_from
from spotd.aws.replies import required_micros
from spotd.model.instance import Instance, Lifecycle

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BASICS = {"InstanceId": "i-0123", "InstanceType": "m5.large", "State": {"Name": "running"}}


def converted(**fields: Any) -> Instance:
    """Return the instance with the basics and these fields."""
    return instance_from(
        BASICS | fields, account_id="111111111111", region="us-east-1", managed_tag="spotd:managed=true"
    )


def tagged(**tags: str) -> list[dict[str, str]]:
    """Return tags in AWS's form, `__` standing for a colon."""
    return [{"Key": key.replace("__", ":"), "Value": value} for key, value in tags.items()]


def test_every_field_aws_tells_is_kept() -> None:
    """A full answer, with times as botocore gives them."""
    found = converted(
        Placement={"AvailabilityZone": "us-east-1a", "AvailabilityZoneId": "use1-az4", "Tenancy": "dedicated"},
        LaunchTime=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        Architecture="arm64",
        VirtualizationType="hvm",
        EnaSupport=True,
        ImageId="ami-1",
        RootDeviceType="ebs",
        BlockDeviceMappings=[{"Ebs": {"VolumeId": "vol-1"}}, {"DeviceName": "/dev/sdb"}],
        VpcId="vpc-1",
        SubnetId="subnet-1",
        PrivateIpAddress="10.0.0.1",
        Tags=tagged(aws__autoscaling__groupName="web", spotd__managed="true"),
    )
    assert (found.availability_zone, found.az_id, found.tenancy) == ("us-east-1a", "use1-az4", "dedicated")
    assert (found.asg_name, found.managed, found.volume_ids) == ("web", True, ("vol-1",))
    assert found.launched_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (found.architecture, found.ena, found.private_ip) == ("arm64", True, "10.0.0.1")


def test_recorded_times_are_read_from_text() -> None:
    """An answer from a file reads as one from the wire."""
    assert converted(LaunchTime="2023-02-23T19:55:48Z").launched_at == datetime(2023, 2, 23, 19, 55, 48, tzinfo=UTC)
    assert converted(LaunchTime="yesterday").launched_at is None


def test_a_zone_id_that_aws_leaves_out_is_looked_up() -> None:
    """Older regions' answers carry the name only."""
    raw = BASICS | {"Placement": {"AvailabilityZone": "us-east-1a"}}
    found = instance_from(raw, account_id="1", region="us-east-1", managed_tag="x", zones={"us-east-1a": "use1-az4"})
    assert found.az_id == "use1-az4"


@pytest.mark.parametrize(
    ("told", "lifecycle"),
    [
        (None, Lifecycle.ON_DEMAND),
        ("spot", Lifecycle.SPOT),
        ("scheduled", Lifecycle.SCHEDULED),
        ("capacity-block", Lifecycle.CAPACITY_BLOCK),
        ("interruptible-capacity-reservation", Lifecycle.CAPACITY_BLOCK),
    ],
)
def test_how_an_instance_is_bought(told: str | None, lifecycle: Lifecycle) -> None:
    """A form this version does not know is never taken for on-demand."""
    fields = {} if told is None else {"InstanceLifecycle": told}
    assert converted(**fields).lifecycle is lifecycle


@pytest.mark.parametrize(
    ("fields", "product"),
    [
        ({}, "Linux/UNIX"),
        ({"Platform": "windows"}, "Windows"),
        ({"PlatformDetails": "Linux/UNIX"}, "Linux/UNIX"),
        ({"PlatformDetails": "Linux/UNIX (Amazon VPC)"}, "Linux/UNIX"),
        ({"PlatformDetails": "Red Hat Enterprise Linux"}, "Red Hat Enterprise Linux"),
        ({"PlatformDetails": "SUSE Linux"}, "SUSE Linux"),
        ({"PlatformDetails": "Windows", "Platform": "windows"}, "Windows"),
        ({"PlatformDetails": "Windows BYOL", "Platform": "windows"}, "Linux/UNIX"),
        ({"PlatformDetails": "Red Hat BYOL Linux"}, "Linux/UNIX"),
        ({"PlatformDetails": "Windows with SQL Server Standard"}, "Windows with SQL Server Standard"),
    ],
)
def test_the_product_is_the_spot_markets(fields: dict[str, str], product: str) -> None:
    """What the Spot market does not sell keeps a name that has no price."""
    assert converted(**fields).product == product


@pytest.mark.parametrize(
    ("tags", "cluster"),
    [
        ({}, None),
        ({"kubernetes.io/cluster/blue": "owned"}, "blue"),
        ({"kubernetes.io/cluster/": "owned"}, None),
        ({"eks:cluster-name": "green", "kubernetes.io/cluster/blue": "owned"}, "green"),
        ({"eks:nodegroup-name": "workers"}, "nodegroup/workers"),
        ({"eks:nodegroup-name": "workers", "kubernetes.io/cluster/blue": "shared"}, "blue"),
        ({"KubernetesCluster": "kops"}, "kops"),
        ({"alpha.eksctl.io/cluster-name": "ctl"}, "ctl"),
    ],
)
def test_cluster_membership_is_read_from_tags(tags: dict[str, str], cluster: str | None) -> None:
    """EKS, Karpenter, eksctl, kops and self-managed clusters are recognised."""
    assert cluster_of(tags) == cluster


@pytest.mark.parametrize(
    ("tags", "tag", "managed"),
    [
        ({"spotd:managed": "true"}, "spotd:managed=true", True),
        ({"spotd:managed": "True"}, "spotd:managed=true", True),
        ({"spotd:managed": "false"}, "spotd:managed=true", False),
        ({}, "spotd:managed=true", False),
        ({"team": ""}, "team", True),
        ({"team": "x"}, "team=", False),
    ],
)
def test_the_owners_opt_in_is_a_tag(tags: dict[str, str], tag: str, managed: bool) -> None:  # noqa: FBT001 - a column
    """With its value if one is asked for."""
    assert is_managed(tags, tag) is managed


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"InstanceId": None}, "/InstanceId"),
        ({"InstanceType": ""}, "/InstanceType"),
        ({"State": {}}, "/State/Name"),
        ({"State": {"Name": "hibernating"}}, "/State/Name"),
    ],
)
def test_what_an_instance_must_have_is_demanded(fields: dict[str, Any], pointer: str) -> None:
    """The error points at the field."""
    with pytest.raises(MalformedReply) as caught:
        converted(**fields)
    assert caught.value.pointer == pointer


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "InstanceId", "InstanceType", "State", "Placement", "Tags", "LaunchTime", "Platform", "PlatformDetails",
    "InstanceLifecycle", "Architecture", "BlockDeviceMappings", "EnaSupport", "VpcId",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), json))
def test_an_odd_answer_is_understood_or_refused_and_never_crashes(odd: dict[str, Any]) -> None:
    """Whatever JSON stands in a field."""
    for raw in (odd, BASICS | odd):
        try:
            found = instance_from(raw, account_id="1", region="us-east-1", managed_tag="spotd:managed=true")
        except MalformedReply:
            continue
        assert found.instance_id


@given(st.dictionaries(st.sampled_from(["VCpuInfo", "MemoryInfo", "NetworkInfo", "GpuInfo", "ProcessorInfo"]), json))
def test_an_odd_type_is_understood_or_refused(odd: dict[str, Any]) -> None:
    """A type without the basics is no type."""
    with pytest.raises(MalformedReply):
        instance_type_from({"InstanceType": "m5.large", "VCpuInfo": {}} | odd | {"MemoryInfo": None})


def test_a_type_with_gpus_and_chips_is_counted_once() -> None:
    """Devices add up; accelerators told under two names are not doubled."""
    found = instance_type_from(
        {
            "InstanceType": "x1.large",
            "VCpuInfo": {"DefaultVCpus": 8},
            "MemoryInfo": {"SizeInMiB": 16384},
            "GpuInfo": {"Gpus": [{"Name": "A10G", "Count": 2}, {"Count": 2}], "TotalGpuMemoryInMiB": 98304},
            "InferenceAcceleratorInfo": {"Accelerators": [{"Count": 4}]},
            "NeuronInfo": {"NeuronDevices": [{"Count": 4}]},
            "NetworkInfo": {"NetworkCards": [{"BaselineBandwidthInGbps": 0.75}, {"BaselineBandwidthInGbps": 12.5}]},
            "InstanceStorageInfo": {"TotalSizeInGB": 300},
        }
    )
    assert (found.gpus, found.gpu_name, found.gpu_memory_mib, found.accelerators) == (4, "A10G", 98304, 4)
    assert (found.network_mbps, found.storage_gb, found.ena) == (13250, 300, "unsupported")


@pytest.mark.parametrize(
    ("text", "micros"),
    [("0.0960000000", 96_000), ("0.0000015", 2), ("32.7726", 32_772_600), ("1e-2", 10_000), ("0.1234565", 123_456)],
)
def test_money_is_read_exactly(text: str, micros: int) -> None:
    """Decimal, never float; halves to even."""
    assert required_micros({"price": text}, "price") == micros


@pytest.mark.parametrize("text", ["", "0", "-1", "NaN", "Infinity", "abc", "1e9", "0.0000000001", None, 0.096])
def test_what_is_no_price_is_refused(text: object) -> None:
    """Zero, negative, endless, absurd, too small to count, not written as text."""
    with pytest.raises(MalformedReply):
        required_micros({"price": text}, "price")


def test_a_spot_price_keeps_its_pool_and_time() -> None:
    """The VPC suffix of old answers is not part of the product."""
    raw = {
        "AvailabilityZone": "us-east-1a",
        "InstanceType": "m5.large",
        "ProductDescription": "Linux/UNIX (Amazon VPC)",
        "SpotPrice": "0.040700",
        "Timestamp": "2021-01-08T21:51:23Z",
    }
    price = spot_price_from(raw, "us-east-1")
    assert (price.product, price.micros, price.az_id) == ("Linux/UNIX", 40_700, None)
    assert price.observed_at == datetime(2021, 1, 8, 21, 51, 23, tzinfo=UTC)


def product(price: str = "0.0960000000", unit: str = "Hrs", **attributes: str) -> dict[str, Any]:
    """Return a product of the price list."""
    plain = {"instanceType": "m5.large", "regionCode": "us-east-1", "operatingSystem": "Linux", "tenancy": "Shared"}
    dimensions = {"rate": {"unit": unit, "pricePerUnit": {"USD": price}}}
    terms = {"OnDemand": {"term": {"priceDimensions": dimensions}}}
    return {"product": {"attributes": plain | attributes}, "terms": terms}


def test_an_on_demand_price_is_read() -> None:
    """The price of the hour of an ordinary launch."""
    price = on_demand_from(product(), observed_at=NOW)
    assert (price.instance_type, price.product, price.micros) == ("m5.large", "Linux/UNIX", 96_000)


@pytest.mark.parametrize(
    ("location", "region"), [("US East (N. Virginia)", "us-east-1"), ("EU (Ireland)", "eu-west-1")]
)
def test_a_region_in_words_is_understood(location: str, region: str) -> None:
    """Products listed before 2021 have no region code."""
    raw = product(location=location)
    del raw["product"]["attributes"]["regionCode"]
    assert on_demand_from(raw, observed_at=NOW).region == region


@pytest.mark.parametrize(
    "raw",
    [
        product(tenancy="Dedicated"),
        product(preInstalledSw="SQL Std"),
        product(capacitystatus="AllocatedCapacityReservation"),
        product(licenseModel="Bring your own license"),
        product(marketoption="CapacityBlock"),
        product(operatingSystem="Ubuntu Pro"),
        product(price="0.0000000000"),
        product(unit="Quantity"),
        {"product": {}, "terms": {}},
        {},
        "not json",
        "[]",
    ],
)
def test_what_is_no_ordinary_launch_is_refused(raw: Any) -> None:
    """Another tenancy, licence, reservation or system has another price."""
    with pytest.raises(MalformedReply):
        on_demand_from(raw, observed_at=NOW)


@given(st.dictionaries(st.sampled_from(["product", "terms"]), st.dictionaries(st.just("OnDemand"), json) | json))
def test_an_odd_product_is_refused_and_never_crashes(raw: dict[str, Any]) -> None:
    """Whatever JSON stands where a price should."""
    with pytest.raises(MalformedReply):
        on_demand_from(raw, observed_at=NOW)

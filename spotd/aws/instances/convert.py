"""One instance of DescribeInstances becomes a model instance; botocore's dicts end here."""

from collections.abc import Mapping
from typing import Final

from spotd.aws.errors import MalformedReply
from spotd.aws.replies import (
    Raw,
    optional_bool,
    optional_text,
    optional_time,
    part,
    required_text,
    rows,
)
from spotd.model.instance import Instance, Lifecycle, State

ASG_TAG: Final = "aws:autoscaling:groupName"
CLUSTER_TAGS: Final = (
    "eks:cluster-name",
    "aws:eks:cluster-name",
    "eks:eks-cluster-name",
    "alpha.eksctl.io/cluster-name",
    "KubernetesCluster",
)
"""Tags whose value is a cluster's name: EKS, Karpenter, eksctl, kops."""
CLUSTER_KEY: Final = "kubernetes.io/cluster/"
"""A tag of this prefix carries the cluster's name in its key."""
NODEGROUP_TAG: Final = "eks:nodegroup-name"

AS_LINUX: Final = frozenset({"Red Hat BYOL Linux", "Windows BYOL"})
"""Platforms AWS bills as plain Linux: the licence is the owner's (billing codes RunInstances:00g0 and 0800)."""
LINUX: Final = "Linux/UNIX"
WINDOWS: Final = "Windows"


def instance_from(
    raw: Raw, *, account_id: str, region: str, managed_tag: str, zones: Mapping[str, str] | None = None
) -> Instance:
    """Return the instance AWS describes; raises MalformedReply without its id, type or a known state.

    `managed_tag` is `key=value`, or a key alone for any value; `zones` maps zone names to zone ids, used where AWS
    leaves the id out. Other fields that are missing or odd become None or empty.
    """
    tags = tags_of(raw)
    placement = part(raw, "Placement")
    zone = optional_text(placement, "AvailabilityZone")
    return Instance(
        instance_id=required_text(raw, "InstanceId"),
        account_id=account_id,
        region=region,
        availability_zone=zone,
        az_id=optional_text(placement, "AvailabilityZoneId") or (zones or {}).get(zone or ""),
        instance_type=required_text(raw, "InstanceType"),
        state=_state(raw),
        lifecycle=_lifecycle(raw),
        asg_name=tags.get(ASG_TAG) or None,
        cluster=cluster_of(tags),
        managed=is_managed(tags, managed_tag),
        tags=tags,
        launched_at=optional_time(raw, "LaunchTime"),
        product=product_of(raw),
        architecture=optional_text(raw, "Architecture"),
        virtualization=optional_text(raw, "VirtualizationType"),
        ena=optional_bool(raw, "EnaSupport"),
        tenancy=optional_text(placement, "Tenancy") or "default",
        image_id=optional_text(raw, "ImageId"),
        root_device=optional_text(raw, "RootDeviceType"),
        volume_ids=_volumes(raw),
        vpc_id=optional_text(raw, "VpcId"),
        subnet_id=optional_text(raw, "SubnetId"),
        private_ip=optional_text(raw, "PrivateIpAddress"),
    )


def tags_of(raw: Raw) -> dict[str, str]:
    """Return the tags; a tag without a value is a tag with an empty one."""
    pairs = ((tag.get("Key"), tag.get("Value")) for tag in rows(raw, "Tags"))
    return {key: value if isinstance(value, str) else "" for key, value in pairs if isinstance(key, str)}


def cluster_of(tags: Mapping[str, str]) -> str | None:
    """Return the Kubernetes cluster an instance is a node of: its name, or `nodegroup/NAME` if only that is told."""
    for tag in CLUSTER_TAGS:
        if name := tags.get(tag):
            return name
    keyed = sorted(key.removeprefix(CLUSTER_KEY) for key in tags if key.startswith(CLUSTER_KEY))
    named = [name for name in keyed if name]
    nodegroup = tags.get(NODEGROUP_TAG)
    return named[0] if named else f"nodegroup/{nodegroup}" if nodegroup else None


def is_managed(tags: Mapping[str, str], managed_tag: str) -> bool:
    """Whether the owner opted the instance in: the tag is there, with its value if one is named."""
    key, named, value = managed_tag.partition("=")
    return key in tags and (not named or tags[key].casefold() == value.casefold())


def product_of(raw: Raw) -> str:
    """Return the Spot market's product description.

    A platform the Spot market does not sell under its own name (SQL Server, Ubuntu Pro) keeps its name, so that no
    price is found for it. Answers from before AWS told the platform are Windows or Linux.
    """
    details = optional_text(raw, "PlatformDetails")
    if details is None:
        platform = optional_text(raw, "Platform") or ""
        return WINDOWS if platform.casefold() == "windows" else LINUX
    details = details.removesuffix(" (Amazon VPC)")
    return LINUX if details in AS_LINUX else details


def _state(raw: Raw) -> State:
    name = required_text(raw, "State", "Name")
    try:
        return State(name)
    except ValueError:
        raise MalformedReply("/State/Name", f"unknown state {name[:40]!r}") from None


def _lifecycle(raw: Raw) -> Lifecycle:
    """A form this version does not know is some form of reservation: surely not on-demand, so nothing moves it."""
    name = optional_text(raw, "InstanceLifecycle")
    if name is None:
        return Lifecycle.ON_DEMAND
    return Lifecycle(name) if name in {each.value for each in Lifecycle} else Lifecycle.CAPACITY_BLOCK


def _volumes(raw: Raw) -> tuple[str, ...]:
    volumes = (optional_text(part(mapping, "Ebs"), "VolumeId") for mapping in rows(raw, "BlockDeviceMappings"))
    return tuple(volume for volume in volumes if volume is not None)

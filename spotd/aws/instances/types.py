"""DescribeInstanceTypes: what a type offers."""

from collections.abc import Iterable
from typing import Final

import structlog

from spotd.aws.errors import MalformedReply
from spotd.aws.instances.listing import FILTER_VALUES, batched
from spotd.aws.replies import (
    Raw,
    optional_bool,
    optional_int,
    optional_text,
    part,
    required_int,
    required_text,
    rows,
    texts,
)
from spotd.aws.session import AccountSession
from spotd.model.instance import InstanceType

log = structlog.get_logger(__name__)

PAGE_SIZE: Final = 40
"""Types a page: each is long, and botocore's parser holds the event loop meanwhile."""
MBPS_PER_GBPS: Final = 1000


async def list_instance_types(
    session: AccountSession, region: str, names: Iterable[str] | None = None
) -> tuple[InstanceType, ...]:
    """Return the named types a region offers, or all of them; names it does not offer are left out.

    Raises AwsError. A type AWS describes without the basics is logged and left out.
    """
    found: list[InstanceType] = []
    for filters in _filters(names):
        async for page in session.pages("ec2", region, "DescribeInstanceTypes", MaxResults=PAGE_SIZE, **filters):
            found.extend(each for raw in page.rows if (each := _understood(raw, region)) is not None)
    return tuple(found)


def instance_type_from(raw: Raw) -> InstanceType:
    """Return the type AWS describes; raises MalformedReply without name, vCPUs or memory."""
    network, gpu = part(raw, "NetworkInfo"), part(raw, "GpuInfo")
    gpus = rows(gpu, "Gpus")
    return InstanceType(
        name=required_text(raw, "InstanceType"),
        vcpus=required_int(raw, "VCpuInfo", "DefaultVCpus"),
        memory_mib=required_int(raw, "MemoryInfo", "SizeInMiB"),
        architectures=texts(part(raw, "ProcessorInfo"), "SupportedArchitectures"),
        virtualization=texts(raw, "SupportedVirtualizationTypes"),
        usage_classes=texts(raw, "SupportedUsageClasses"),
        gpus=_count(gpus),
        gpu_name=optional_text(gpus[0], "Name") if gpus else None,
        gpu_memory_mib=optional_int(gpu, "TotalGpuMemoryInMiB") or 0,
        accelerators=_accelerators(raw),
        storage_gb=optional_int(part(raw, "InstanceStorageInfo"), "TotalSizeInGB") or 0,
        network_mbps=_baseline_mbps(network),
        max_interfaces=optional_int(network, "MaximumNetworkInterfaces"),
        ena=optional_text(network, "EnaSupport") or "unsupported",
        burstable=optional_bool(raw, "BurstablePerformanceSupported") or False,
        bare_metal=optional_bool(raw, "BareMetal") or False,
        current_generation=optional_bool(raw, "CurrentGeneration") is not False,
        hypervisor=optional_text(raw, "Hypervisor"),
    )


def _filters(names: Iterable[str] | None) -> Iterable[dict[str, object]]:
    """By filter: the operation's own list of names fails as a whole for one name the region does not offer."""
    if names is None:
        return [{}]
    some_of_them = batched(sorted(set(names)), FILTER_VALUES)
    return [{"Filters": [{"Name": "instance-type", "Values": some}]} for some in some_of_them]


def _understood(raw: Raw, region: str) -> InstanceType | None:
    try:
        return instance_type_from(raw)
    except MalformedReply as error:
        log.warning("aws.instance_type_refused", region=region, name=raw.get("InstanceType"), error=str(error))
        return None


def _count(devices: Iterable[Raw]) -> int:
    return sum(optional_int(device, "Count") or 0 for device in devices)


def _accelerators(raw: Raw) -> int:
    """The same chips may be told twice, under their old and their new name."""
    inference = _count(rows(part(raw, "InferenceAcceleratorInfo"), "Accelerators"))
    return max(inference, _count(rows(part(raw, "NeuronInfo"), "NeuronDevices")))


def _baseline_mbps(network: Raw) -> int | None:
    """Return the sum of the cards' baselines; AWS tells them in Gbit/s."""
    baselines = [card.get("BaselineBandwidthInGbps") for card in rows(network, "NetworkCards")]
    known = [float(each) for each in baselines if isinstance(each, int | float)]
    return round(sum(known) * MBPS_PER_GBPS) if known else None

"""EC2's `Filters`: names, values, and the shell patterns that values may be."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from spotd.sim.errors import ServiceError

Row = Mapping[str, Any]

_FIELDS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "availability-zone": lambda row: row["Placement"]["AvailabilityZone"],
    "architecture": lambda row: row["Architecture"],
    "burstable-performance-supported": lambda row: str(row["BurstablePerformanceSupported"]).lower(),
    "current-generation": lambda row: str(row["CurrentGeneration"]).lower(),
    "endpoint": lambda row: row["Endpoint"],
    "image-id": lambda row: row["ImageId"],
    "instance-id": lambda row: row["InstanceId"],
    "instance-lifecycle": lambda row: row["InstanceLifecycle"] or "",
    "instance-state-code": lambda row: str(row["State"]["Code"]),
    "instance-state-name": lambda row: row["State"]["Name"],
    "instance-type": lambda row: row["InstanceType"],
    "location": lambda row: row["Location"],
    "opt-in-status": lambda row: row["OptInStatus"],
    "owner-id": lambda _row: "",
    "private-ip-address": lambda row: row["PrivateIpAddress"] or "",
    "processor-info.supported-architecture": lambda row: row["ProcessorInfo"]["SupportedArchitectures"],
    "region-name": lambda row: row["RegionName"],
    "spot-instance-request-id": lambda row: row["SpotInstanceRequestId"] or "",
    "state": lambda row: row["State"],
    "subnet-id": lambda row: row["SubnetId"] or "",
    "supported-usage-class": lambda row: row["SupportedUsageClasses"],
    "tag-key": lambda row: [tag["Key"] for tag in row["Tags"]],
    "vpc-id": lambda row: row["VpcId"] or "",
    "zone-id": lambda row: row["ZoneId"],
    "zone-name": lambda row: row["ZoneName"],
    "zone-type": lambda row: row["ZoneType"],
}


def passes(row: Row, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a row (boto3's names) meets every filter; a filter that EC2 does not know is refused."""
    return all(_passes_one(row, item["Name"], item.get("Values", [])) for item in filters)


def _passes_one(row: Row, name: str, wanted: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for value in _values(row, name) for pattern in wanted)


def _values(row: Row, name: str) -> Sequence[str]:
    if name.startswith("tag:"):
        return [tag["Value"] for tag in row.get("Tags") or () if tag["Key"] == name[4:]]
    if name not in _FIELDS:
        raise ServiceError("InvalidParameterValue", f"The filter '{name}' is invalid")
    try:
        value = _FIELDS[name](row)
    except (KeyError, TypeError):
        return []  # the row does not tell this field
    return [value] if isinstance(value, str) else value

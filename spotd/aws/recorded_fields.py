"""The optional fields the converters read: present but of another shape, each is told instead of passed over."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from spotd.aws.replies import Raw, optional_time

Check = Callable[[Any], bool]


class Field(NamedTuple):
    """One field: its place as names from the row down, what it must be, and the words for that."""

    path: tuple[str, ...]
    holds: Check
    wanted: str


def refused_fields(row: object, fields: tuple[Field, ...]) -> Iterator[tuple[str, str]]:
    """Yield pointer and detail of each field that is there, not null, and not what it must be."""
    for field in fields:
        value, pointer = row, ""
        for name in field.path:
            if not isinstance(value, Mapping):
                break
            value, pointer = value.get(name), f"{pointer}/{name}"
        else:
            if value is not None and not field.holds(value):
                yield pointer, f"not {field.wanted}"


def _text(value: object) -> bool:
    return isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _time(value: object) -> bool:
    probe: Raw = {"at": value}
    return optional_time(probe, "at") is not None


def _structure(value: object) -> bool:
    return isinstance(value, Mapping)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _structures(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _tags(value: object) -> bool:
    return _structures(value) and all(isinstance(tag.get("Key"), str) for tag in value)  # type: ignore[attr-defined]  # a list of mappings by now


SHAPES: Mapping[str, tuple[Check, str]] = {
    "text": (_text, "a text"),
    "flag": (_flag, "true or false"),
    "whole": (_whole, "a whole number"),
    "time": (_time, "a time"),
    "structure": (_structure, "an object"),
    "texts": (_texts, "a list of texts"),
    "structures": (_structures, "a list of objects"),
    "tags": (_tags, "a list of tags"),
}


def _fields(places: Mapping[str, str]) -> tuple[Field, ...]:
    return tuple(Field(tuple(place.split("/")), *SHAPES[shape]) for place, shape in places.items())


INSTANCE = _fields(
    {
        "Placement": "structure",
        "Placement/AvailabilityZoneId": "text",
        "Placement/Tenancy": "text",
        "InstanceLifecycle": "text",
        "Tags": "tags",
        "LaunchTime": "time",
        "Platform": "text",
        "PlatformDetails": "text",
        "Architecture": "text",
        "VirtualizationType": "text",
        "EnaSupport": "flag",
        "ImageId": "text",
        "RootDeviceType": "text",
        "BlockDeviceMappings": "structures",
        "VpcId": "text",
        "SubnetId": "text",
        "PrivateIpAddress": "text",
    }
)

INSTANCE_TYPE = _fields(
    {
        "ProcessorInfo/SupportedArchitectures": "texts",
        "SupportedVirtualizationTypes": "texts",
        "SupportedUsageClasses": "texts",
        "GpuInfo": "structure",
        "GpuInfo/Gpus": "structures",
        "GpuInfo/TotalGpuMemoryInMiB": "whole",
        "InstanceStorageInfo": "structure",
        "InstanceStorageInfo/TotalSizeInGB": "whole",
        "NetworkInfo": "structure",
        "NetworkInfo/NetworkCards": "structures",
        "NetworkInfo/MaximumNetworkInterfaces": "whole",
        "NetworkInfo/EnaSupport": "text",
        "BurstablePerformanceSupported": "flag",
        "BareMetal": "flag",
        "CurrentGeneration": "flag",
        "Hypervisor": "text",
    }
)

SPOT_PRICE = _fields({"AvailabilityZoneId": "text"})

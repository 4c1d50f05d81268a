"""Small fleets and markets to decide on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from spotd.model import fleet as sources
from spotd.model.fleet import Fleet
from spotd.model.instance import Instance, InstanceType, State, StoredInstance
from spotd.model.market import AdvisorRate, OnDemandPrice, SpotPrice

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REGION = "eu-west-1"
ZONE = "eu-west-1a"
LINUX = "Linux/UNIX"


def instance_type(name: str, **facts: Any) -> InstanceType:
    """A plain current type of 2 vCPUs and 8 GiB."""
    plain: dict[str, Any] = {
        "vcpus": 2,
        "memory_mib": 8192,
        "architectures": frozenset({"x86_64"}),
        "virtualization": frozenset({"hvm"}),
        "usage_classes": frozenset({"on-demand", "spot"}),
        "network_mbps": 750,
        "ena": "required",
        "hypervisor": "nitro",
    }
    return InstanceType(name=name, **(plain | facts))


def instance(number: int = 1, **facts: Any) -> Instance:
    """A running, opted-in m5.large in eu-west-1a."""
    plain: dict[str, Any] = {
        "instance_id": f"i-{number:017x}",
        "account_id": "123456789012",
        "region": REGION,
        "availability_zone": ZONE,
        "instance_type": "m5.large",
        "state": State.RUNNING,
        "managed": True,
        "architecture": "x86_64",
        "virtualization": "hvm",
        "ena": True,
        "root_device": "ebs",
    }
    return Instance(**(plain | facts))


def stored(one: Instance, **facts: Any) -> StoredInstance:
    """An instance listed a moment ago."""
    plain: dict[str, Any] = {"first_seen_at": NOW, "changed_at": NOW, "scope_completed_at": NOW}
    return StoredInstance(instance=one, **(plain | facts))


def spot(name: str, micros: int, **facts: Any) -> SpotPrice:
    """A Spot price in eu-west-1a."""
    plain: dict[str, Any] = {"region": REGION, "az": ZONE, "product": LINUX, "observed_at": NOW}
    return SpotPrice(instance_type=name, micros=micros, **(plain | facts))


def on_demand(name: str, micros: int, **facts: Any) -> OnDemandPrice:
    """An on-demand price in eu-west-1."""
    plain: dict[str, Any] = {"region": REGION, "product": LINUX, "observed_at": NOW}
    return OnDemandPrice(instance_type=name, micros=micros, **(plain | facts))


def rate(name: str, band: int, **facts: Any) -> AdvisorRate:
    """An interruption band in eu-west-1."""
    plain: dict[str, Any] = {"region": REGION, "product": LINUX, "savings_percent": 60, "observed_at": NOW}
    return AdvisorRate(instance_type=name, band=band, **(plain | facts))


def confirmed(at: datetime = NOW) -> Mapping[str, datetime]:
    """Every source's last good pass, at one moment."""
    names = (sources.spot_prices(REGION), sources.on_demand_prices(REGION), sources.ADVISOR, sources.INSTANCE_TYPES)
    return dict.fromkeys(names, at)


TYPES = {name: instance_type(name) for name in ("m5.large", "m5a.large", "m6i.large")}


def fleet(*instances: Instance, **facts: Any) -> Fleet:
    """An account whose m5.large could become one of three types: m6i.large is the cheapest calm one."""
    plain: dict[str, Any] = {
        "account_id": "123456789012",
        "instances": tuple(stored(one) for one in instances or (instance(),)),
        "types": TYPES,
        "spot": (spot("m5.large", 40_000), spot("m5a.large", 38_000), spot("m6i.large", 35_000)),
        "on_demand": (on_demand("m5.large", 107_000),),
        "advisor": (rate("m5.large", 1), rate("m5a.large", 1), rate("m6i.large", 1)),
        "confirmed": confirmed(),
    }
    return Fleet(**(plain | facts))


def with_type(one: Fleet, changed: InstanceType) -> Fleet:
    """The fleet with one type's facts changed or added."""
    return replace(one, types={**one.types, changed.name: changed})

"""Facts that do not change while the simulator runs: instance types, list prices, interruption bands.

Without data, list prices come from a short table of public us-east-1 prices, scaled by size and region; with a data
folder they are the recorded ones. A type in neither has no price: nothing is made up for it.
"""

import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

# USD an hour for `large`, Linux, us-east-1, on demand: AWS's public list. Sizes of these families scale linearly.
_LARGE = {
    "m3": 0.133, "m4": 0.10, "m5": 0.096, "m5a": 0.086, "m5n": 0.119, "m5d": 0.113, "m6i": 0.096, "m6a": 0.0864,
    "m6g": 0.077, "m6gd": 0.0904, "m7i": 0.1008, "m7a": 0.11592, "m7g": 0.0816, "m8g": 0.08976, "c4": 0.10,
    "c5": 0.085, "c5a": 0.077, "c5n": 0.108, "c5d": 0.096, "c6i": 0.085, "c6a": 0.0765, "c6g": 0.068, "c6gn": 0.0864,
    "c7i": 0.08925, "c7a": 0.10264, "c7g": 0.0725, "c8g": 0.07976, "r4": 0.133, "r5": 0.126, "r5a": 0.113,
    "r5d": 0.144, "r6i": 0.126, "r6a": 0.1134, "r6g": 0.1008, "r7i": 0.1323, "r7a": 0.15215, "r7g": 0.1071,
    "r8g": 0.11782, "t2": 0.0928, "t3": 0.0832, "t3a": 0.0752, "t4g": 0.0672, "i3": 0.156, "i4i": 0.172, "z1d": 0.186,
}  # fmt: skip
_SINGLE = {
    "m3.medium": 0.067, "g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204,
    "g4dn.8xlarge": 2.176, "g4dn.12xlarge": 3.912, "g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624,
    "g5.8xlarge": 2.448, "g5.12xlarge": 5.672, "p3.2xlarge": 3.06, "p3.8xlarge": 12.24,
}  # fmt: skip
_REGION_FACTOR = {
    "us-east-1": 1.0, "us-east-2": 1.0, "us-west-2": 1.0, "us-west-1": 1.167, "ca-central-1": 1.115,
    "eu-west-1": 1.115, "eu-west-2": 1.156, "eu-west-3": 1.167, "eu-central-1": 1.198, "eu-north-1": 1.063,
    "ap-south-1": 1.052, "ap-southeast-1": 1.25, "ap-southeast-2": 1.25, "ap-northeast-1": 1.292,
    "ap-northeast-2": 1.229, "ap-northeast-3": 1.292, "sa-east-1": 1.594,
}  # fmt: skip
_SMALL_SIZES = {"nano": 1 / 16, "micro": 1 / 8, "small": 1 / 4, "medium": 1 / 2, "large": 1.0, "xlarge": 2.0}
_WINDOWS_PER_VCPU = 0.046
_WINDOWS_PER_VCPU_BURSTABLE = 0.0138

LINUX, WINDOWS = "Linux", "Windows"


class Catalogue:
    """Instance types, on-demand prices, recorded spot prices by (AZ id, type), and the Spot Advisor's feed."""

    def __init__(self, data: Path | None, seed: int) -> None:
        self.types: Mapping[str, Any] = _instance_types(data)
        self._offered = _offerings(self.types)
        self._recorded = _on_demand(data)
        self.spot: Mapping[tuple[str, str], float] = _spot(data)
        self.advisor: Mapping[str, Any] = _advisor(data) or self._made_advisor(seed)

    def on_demand(self, region: str, instance_type: str, system: str = LINUX) -> float | None:
        """USD an hour on demand, or None where no price is known."""
        recorded = self._recorded.get((region, instance_type))
        if recorded is None and instance_type not in self.offered(region):
            return None
        linux = recorded if recorded is not None else _from_table(region, instance_type)
        if linux is None or system == LINUX:
            return linux
        facts = self.types.get(instance_type, {})
        if "x86_64" not in facts.get("ProcessorInfo", {}).get("SupportedArchitectures", []):
            return None
        vcpus: int = facts["VCpuInfo"]["DefaultVCpus"]
        rate = _WINDOWS_PER_VCPU_BURSTABLE if facts.get("BurstablePerformanceSupported") else _WINDOWS_PER_VCPU
        return round(linux + rate * vcpus, 6)

    def offered(self, region: str) -> frozenset[str]:
        """The types that a region offers at all."""
        return self._offered.get(region, frozenset())

    def sold_in(self, region: str) -> Iterator[str]:
        """The types that have a list price in a region."""
        return (name for name in self.types if self.on_demand(region, name) is not None)

    def band(self, region: str, instance_type: str, system: str = LINUX) -> Mapping[str, int] | None:
        """The Advisor's row: `r` the band 0–4, `s` the savings in percent."""
        rows: Mapping[str, Any] = self.advisor["spot_advisor"].get(region, {}).get(system, {})
        return rows.get(instance_type)

    def _made_advisor(self, seed: int) -> Mapping[str, Any]:
        regions: dict[str, Any] = {}
        for region in _REGION_FACTOR:
            sold = sorted(self.sold_in(region))
            linux = {name: _band(Random(f"{seed}/{region}/{name}")) for name in sold}  # noqa: S311 - reproducible
            windows = {
                name: {**row, "s": max(row["s"] - 25, 10)}
                for name, row in linux.items()
                if self.on_demand(region, name, WINDOWS) is not None
            }
            regions[region] = {LINUX: linux, WINDOWS: windows}
        return {"ranges": _RANGES, "instance_types": self._advisor_types(), "spot_advisor": regions}

    def _advisor_types(self) -> dict[str, Any]:
        return {
            name: {
                "emr": False,
                "cores": facts["VCpuInfo"]["DefaultVCpus"],
                "ram_gb": facts["MemoryInfo"]["SizeInMiB"] / 1024,
            }
            for name, facts in self.types.items()
        }


_RANGES = [
    {"index": 0, "label": "<5%", "dots": 0, "max": 5},
    {"index": 1, "label": "5-10%", "dots": 1, "max": 11},
    {"index": 2, "label": "10-15%", "dots": 2, "max": 16},
    {"index": 3, "label": "15-20%", "dots": 3, "max": 22},
    {"index": 4, "label": ">20%", "dots": 4, "max": 100},
]


def _band(random: Random) -> dict[str, int]:
    return {"s": random.randint(48, 76), "r": random.choices(range(5), (46, 22, 13, 8, 11))[0]}


def _from_table(region: str, instance_type: str) -> float | None:
    factor = _REGION_FACTOR.get(region)
    family, _, size = instance_type.partition(".")
    multiple = _SMALL_SIZES.get(size) or _multiple(size)
    base = _SINGLE.get(instance_type) or (_LARGE[family] * multiple if multiple and family in _LARGE else None)
    return round(base * factor, 6) if base is not None and factor is not None else None


def _multiple(size: str) -> float | None:
    count = size.removesuffix("xlarge")
    return 2.0 * int(count) if count.isdigit() and size.endswith("xlarge") else None


# --- recorded facts ----------------------------------------------------------


def _instance_types(data: Path | None) -> Mapping[str, Any]:
    recorded = _json(data, "instance_types.json.gz")
    if recorded is not None:
        return {name: {key: fact for key, fact in facts.items() if key != "_as_of"} for name, facts in recorded.items()}
    from moto.ec2.models.instance_types import INSTANCE_TYPES  # noqa: PLC0415 - after moto's environment is set

    return dict(INSTANCE_TYPES)


def _offerings(types: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
    from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS  # noqa: PLC0415 - after moto's environment is set

    return {
        region: frozenset(row["InstanceType"] for row in rows if row["InstanceType"] in types)
        for region, rows in INSTANCE_TYPE_OFFERINGS["region"].items()
    }


def _advisor(data: Path | None) -> Mapping[str, Any] | None:
    return _json(data, "spot_advisor.json.gz")


def _on_demand(data: Path | None) -> Mapping[tuple[str, str], float]:
    rows = _rows(data, "ondemand_prices.csv.gz")
    return {(row["region"], row["instance_type"]): float(row["usd_per_hour"]) for row in rows if row["os"] == LINUX}


def _spot(data: Path | None) -> Mapping[tuple[str, str], float]:
    rows = _rows(data, "spot_prices.csv.gz")
    return {(row["az"], row["instance_type"]): float(row["usd_per_hour"]) for row in rows}


def _json(data: Path | None, name: str) -> Mapping[str, Any] | None:
    if data is None or not (data / name).is_file():
        return None
    loaded: Mapping[str, Any] = json.loads(gzip.decompress((data / name).read_bytes()))
    return loaded


def _rows(data: Path | None, name: str) -> Iterator[Mapping[str, str]]:
    if data is None or not (data / name).is_file():
        return
    with gzip.open(data / name, "rt", newline="") as file:
        yield from csv.DictReader(file)

"""The Price List API: `GetProducts` for EC2, with the rows a careless reader would trip over.

Beside the price one wants (shared tenancy, capacity status `Used`, no pre-installed software) AWS lists the same type
as unused reservation, as allocated reservation at zero dollars, and on dedicated hardware; so does this.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any
from zlib import crc32

from spotd.sim.catalogue import LINUX, WINDOWS, Catalogue
from spotd.sim.errors import ServiceError
from spotd.sim.paging import page
from spotd.sim.protocol import Call

LOCATIONS = {
    "ap-northeast-1": "Asia Pacific (Tokyo)", "ap-northeast-2": "Asia Pacific (Seoul)",
    "ap-northeast-3": "Asia Pacific (Osaka)", "ap-south-1": "Asia Pacific (Mumbai)",
    "ap-southeast-1": "Asia Pacific (Singapore)", "ap-southeast-2": "Asia Pacific (Sydney)",
    "ca-central-1": "Canada (Central)", "eu-central-1": "EU (Frankfurt)", "eu-north-1": "EU (Stockholm)",
    "eu-west-1": "EU (Ireland)", "eu-west-2": "EU (London)", "eu-west-3": "EU (Paris)",
    "sa-east-1": "South America (Sao Paulo)", "us-east-1": "US East (N. Virginia)", "us-east-2": "US East (Ohio)",
    "us-west-1": "US West (N. California)", "us-west-2": "US West (Oregon)", "af-south-1": "Africa (Cape Town)",
    "ap-east-1": "Asia Pacific (Hong Kong)", "eu-south-1": "EU (Milan)", "me-south-1": "Middle East (Bahrain)",
}  # fmt: skip
_TERM = "JRTCKXETXF"
_DIMENSION = "6YS6EN2CT7"
_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Variant:
    """One way in which the same type is sold: its capacity status, tenancy, usage type prefix and price factor."""

    status: str
    tenancy: str
    usage: str
    factor: float

    def fits(self, exact: Mapping[str, str]) -> bool:
        """Whether filters by exact value leave this variant."""
        status, tenancy = exact.get("capacitystatus", self.status), exact.get("tenancy", self.tenancy)
        return (status, tenancy) == (self.status, self.tenancy)


_VARIANTS = (
    _Variant("Used", "Shared", "BoxUsage", 1.0),
    _Variant("UnusedCapacityReservation", "Shared", "UnusedBox", 1.0),
    _Variant("AllocatedCapacityReservation", "Shared", "Reservation", 0.0),
    _Variant("Used", "Dedicated", "DedicatedUsage", 1.06),
)


class Pricing:
    """Answers `pricing.GetProducts`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def get_products(self, call: Call) -> Mapping[str, Any]:
        """Products as JSON texts, at most 100 a page."""
        if call.params.get("ServiceCode") != "AmazonEC2":
            raise ServiceError("NotFoundException", f"Unknown service code {call.params.get('ServiceCode')}")
        filters = call.params.get("Filters", [])
        rows = [row for row in self._candidates(filters) if all(_passes(row[0], item) for item in filters)]
        size = min(int(call.params.get("MaxResults") or _PAGE), _PAGE)
        found, following = page(rows, next_token=call.params.get("NextToken"), size=size)
        result = {"FormatVersion": "aws_v1", "PriceList": [_product(*row) for row in found]}
        return result | ({"NextToken": following} if following else {})

    def _candidates(self, filters: Sequence[Mapping[str, str]]) -> Iterator[tuple[Mapping[str, str], float]]:
        """Every product that exact filters on its main fields leave; the other filters are not applied yet."""
        exact = {item["Field"]: item["Value"] for item in filters if item["Type"] in {"TERM_MATCH", "EQUALS"}}
        named = exact.get("instanceType")
        systems = [name for name in (LINUX, WINDOWS) if exact.get("operatingSystem", name) == name]
        variants = [variant for variant in _VARIANTS if variant.fits(exact)]
        for region in (code for code, place in LOCATIONS.items() if _is_wanted(exact, code, place)):
            for name, system in product([named] if named else sorted(self._catalogue.types), systems):
                price = self._catalogue.on_demand(region, name, system)
                for variant in variants if price is not None else ():
                    yield self._attributes(region, name, system, variant), (price or 0.0) * variant.factor

    def _attributes(self, region: str, name: str, system: str, variant: _Variant) -> Mapping[str, str]:
        facts = self._catalogue.types.get(name, {})
        return {
            "servicecode": "AmazonEC2",
            "servicename": "Amazon Elastic Compute Cloud",
            "location": LOCATIONS[region],
            "locationType": "AWS Region",
            "regionCode": region,
            "instanceType": name,
            "instanceFamily": "General purpose",
            "currentGeneration": "Yes" if facts.get("CurrentGeneration") else "No",
            "vcpu": str(facts.get("VCpuInfo", {}).get("DefaultVCpus", "NA")),
            "memory": f"{facts.get('MemoryInfo', {}).get('SizeInMiB', 0) / 1024:g} GiB",
            "operatingSystem": system,
            "preInstalledSw": "NA",
            "licenseModel": "No License required",
            "tenancy": variant.tenancy,
            "capacitystatus": variant.status,
            "marketoption": "OnDemand",
            "operation": "RunInstances:0002" if system == WINDOWS else "RunInstances",
            "usagetype": f"{variant.usage}:{name}",
        }


def _is_wanted(exact: Mapping[str, str], code: str, place: str) -> bool:
    return exact.get("regionCode", code) == code and exact.get("location", place) == place


def _passes(attributes: Mapping[str, str], item: Mapping[str, str]) -> bool:
    value, wanted = attributes.get(item["Field"], ""), item["Value"]
    match item["Type"]:
        case "TERM_MATCH" | "EQUALS":
            return value == wanted
        case "ANY_OF":
            return value in wanted.split(",")
        case "NONE_OF":
            return value not in wanted.split(",")
        case "CONTAINS":
            return wanted.lower() in value.lower()
        case kind:
            raise ServiceError("InvalidParameterException", f"Unknown filter type {kind}")


def _product(attributes: Mapping[str, str], price: float) -> str:
    sku = f"{crc32(json.dumps(attributes).encode()):08X}SPOTDSIM"
    term, dimension = f"{sku}.{_TERM}", f"{sku}.{_TERM}.{_DIMENSION}"
    what = f"On Demand {attributes['operatingSystem']} {attributes['instanceType']} Instance Hour"
    return json.dumps(
        {
            "product": {"productFamily": "Compute Instance", "attributes": attributes, "sku": sku},
            "serviceCode": "AmazonEC2",
            "terms": {
                "OnDemand": {
                    term: {
                        "priceDimensions": {
                            dimension: {
                                "unit": "Hrs",
                                "endRange": "Inf",
                                "description": f"${price:.6g} per {what}",
                                "appliesTo": [],
                                "rateCode": dimension,
                                "beginRange": "0",
                                "pricePerUnit": {"USD": f"{price:.10f}"},
                            }
                        },
                        "sku": sku,
                        "effectiveDate": "2026-01-01T00:00:00Z",
                        "offerTermCode": _TERM,
                        "termAttributes": {},
                    }
                }
            },
            "version": "20260101000000",
            "publicationDate": "2026-01-01T00:00:00Z",
        }
    )

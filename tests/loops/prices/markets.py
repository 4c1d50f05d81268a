"""A market behind a fake AWS: pools, price list, type facts, CPU and the Advisor feed, all of which a test may change."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.aws.fakes import Answer, FakeAws, Seen, js, refusal, xml

TYPE_FACTS = (
    "<currentGeneration>true</currentGeneration><hypervisor>nitro</hypervisor>"
    "<supportedUsageClasses><item>on-demand</item><item>spot</item></supportedUsageClasses>"
    "<supportedVirtualizationTypes><item>hvm</item></supportedVirtualizationTypes>"
    "<processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo>"
    "<vCpuInfo><defaultVCpus>2</defaultVCpus></vCpuInfo><memoryInfo><sizeInMiB>8192</sizeInMiB></memoryInfo>"
    "<networkInfo><enaSupport>required</enaSupport><networkCards><item>"
    "<baselineBandwidthInGbps>0.75</baselineBandwidthInGbps></item></networkCards></networkInfo>"
)
BANDS = ["<5%", "5-10%", "10-15%", "15-20%", ">20%"]
PRODUCT = {"tenancy": "Shared", "capacitystatus": "Used", "preInstalledSw": "NA", "operatingSystem": "Linux"}


@dataclass
class FakeMarket:
    """What the fake AWS knows of the market; every pool has the same facts."""

    types: tuple[str, ...] = ("m5.large", "m6i.large")
    zones: tuple[str, ...] = ("a", "b")
    spot_price: str = "0.035000"
    priced_at: str = "2026-03-01T11:00:00Z"
    on_demand_price: str = "0.1070000000"
    feed: dict[str, Any] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    """Access keys, regions or operations that are refused."""

    def serve(self, fake: FakeAws) -> None:
        """Answer on a fake AWS."""
        self.feed = {
            "ranges": [{"index": n, "label": label} for n, label in enumerate(BANDS)],
            "spot_advisor": {"us-east-1": {"Linux": {name: {"r": 1, "s": 60} for name in self.types}, "Windows": {}}},
        }
        fake.on("", lambda _: web.json_response(self.feed))
        for operation, answer in (
            ("DescribeSpotPriceHistory", self.spot_prices),
            ("DescribeInstanceTypes", self.instance_types),
            ("GetProducts", self.products),
            ("GetMetricData", self.metrics),
        ):
            fake.on(operation, lambda seen, answer=answer: self.unless_denied(seen, answer))  # type: ignore[misc]  # bound early

    def unless_denied(self, seen: Seen, answer: Any) -> Answer:
        """Refuse what the test denies."""
        if self.denied & {seen.access_key, seen.region, seen.operation}:
            if seen.operation == "GetProducts":
                return js({"__type": "AccessDeniedException", "message": "no"}, status=400)
            return refusal("UnauthorizedOperation", status=403)
        result: Answer = answer(seen)
        return result

    def spot_prices(self, seen: Seen) -> Answer:
        """Every asked pool at the same price."""
        asked = [value for name, value in seen.params.items() if name.startswith("InstanceType")]
        pools = [(name, zone) for name in asked if name in self.types for zone in self.zones]
        items = "".join(
            f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>"
            f"<spotPrice>{self.spot_price}</spotPrice><timestamp>{self.priced_at}</timestamp>"
            f"<availabilityZone>{seen.region}{zone}</availabilityZone></item>"
            for name, zone in pools
        )
        return xml("DescribeSpotPriceHistory", f"<spotPriceHistorySet>{items}</spotPriceHistorySet>")

    def instance_types(self, _seen: Seen) -> Answer:
        """Every type, with the same facts."""
        items = "".join(f"<item><instanceType>{name}</instanceType>{TYPE_FACTS}</item>" for name in self.types)
        return xml("DescribeInstanceTypes", f"<instanceTypeSet>{items}</instanceTypeSet>")

    def products(self, seen: Seen) -> Answer:
        """The price list of what was asked for."""
        asked = {term["Field"]: term["Value"] for term in seen.params["Filters"]}
        names = asked["instanceType"].split(",")
        return js({"PriceList": [self._product(name, asked["regionCode"]) for name in names if name in self.types]})

    def _product(self, name: str, region: str) -> str:
        dimension = {"unit": "Hrs", "pricePerUnit": {"USD": self.on_demand_price}}
        return json.dumps(
            {
                "product": {"attributes": PRODUCT | {"regionCode": region, "instanceType": name}},
                "terms": {"OnDemand": {"t": {"priceDimensions": {"d": dimension}}}},
            }
        )

    def metrics(self, seen: Seen) -> Answer:
        """One hour of every asked series at 12.5 %."""
        ids = [value for name, value in seen.params.items() if name.endswith(".Id")]
        members = "".join(
            f"<member><Id>{each}</Id><StatusCode>Complete</StatusCode>"
            "<Timestamps><member>2026-03-01T11:00:00Z</member></Timestamps><Values><member>12.5</member></Values></member>"
            for each in ids
        )
        return xml("GetMetricData", f"<MetricDataResults>{members}</MetricDataResults>", wrapped=True)


def asked_window(seen: Seen) -> tuple[datetime, datetime]:
    """The window a price history was asked for."""
    start, end = (datetime.fromisoformat(seen.params[name]) for name in ("StartTime", "EndTime"))
    return start, end

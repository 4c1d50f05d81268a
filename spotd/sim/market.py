"""The Spot market: a price for every pool at every moment, the same for the same seed.

A price holds for hours and then moves a little (as since AWS's smoothing of November 2017): each pool has a level,
two slow waves and small steps. Levels come from recorded prices, else from the Advisor's savings, else from chance.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any

from spotd.sim.catalogue import LINUX, WINDOWS, Catalogue
from spotd.sim.errors import ServiceError
from spotd.sim.paging import page
from spotd.sim.protocol import Call
from spotd.sim.world import World

HISTORY = timedelta(days=90)
SLOT = timedelta(hours=6)
PAGE = 1000
_PRODUCTS = {
    "Linux/UNIX": LINUX,
    "Linux/UNIX (Amazon VPC)": LINUX,
    "Windows": WINDOWS,
    "Windows (Amazon VPC)": WINDOWS,
}
_DEFAULT_PRODUCTS = ("Linux/UNIX", "Windows")
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_FILTERS = {
    "availability-zone": "AvailabilityZone",
    "availability-zone-id": "AvailabilityZoneId",
    "instance-type": "InstanceType",
    "product-description": "ProductDescription",
    "spot-price": "SpotPrice",
}


@dataclass(frozen=True, slots=True)
class Pool:
    """One price: the level it moves around, its ceiling (on demand), and the phases of its waves."""

    level: float
    ceiling: float
    phases: tuple[float, float]
    offset: timedelta
    key: str

    def price(self, slot: int) -> float:
        """USD an hour during a slot (slots are counted from 2020)."""
        days = slot * SLOT / timedelta(days=1)
        wave = 0.05 * math.sin(days / 9 + self.phases[0]) + 0.03 * math.sin(days / 2.3 + self.phases[1])
        step = Random(f"{self.key}/{slot // 2}").uniform(-0.02, 0.02)  # noqa: S311 - reproducible
        return min(self.ceiling, self.level * (1 + wave + step))

    def began(self, slot: int) -> datetime:
        """When a slot's price was set."""
        return _EPOCH + slot * SLOT + self.offset

    def slot_at(self, moment: datetime) -> int:
        """The slot in force at a moment."""
        return (moment - self.offset - _EPOCH) // SLOT


class Market:
    """Prices of all pools, and the operation that tells them."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self._catalogue = catalogue
        self._seed = seed
        self._pool = lru_cache(maxsize=50_000)(self._make_pool)
        self._pages: dict[object, Sequence[Mapping[str, Any]]] = {}

    def pool(self, region: str, zone_id: str, instance_type: str, system: str) -> Pool | None:
        """The pool of a type in a zone, or None where the type is not sold."""
        return self._pool(region, zone_id, instance_type, system)

    def _make_pool(self, region: str, zone_id: str, instance_type: str, system: str) -> Pool | None:
        ceiling = self._catalogue.on_demand(region, instance_type, system)
        if ceiling is None:
            return None
        key = f"{self._seed}/{zone_id}/{instance_type}/{system}"
        random = Random(key)  # noqa: S311 - reproducible
        offset = timedelta(seconds=random.randrange(int(SLOT.total_seconds())))
        phases = (random.uniform(0, 6.3), random.uniform(0, 6.3))
        level = self._level(region, zone_id, instance_type, system, random) or ceiling * random.uniform(0.28, 0.5)
        return Pool(min(level, ceiling), ceiling, phases, offset, key)

    def _level(self, region: str, zone_id: str, instance_type: str, system: str, random: Random) -> float | None:
        recorded = self._catalogue.spot.get((zone_id, instance_type)) if system == LINUX else None
        if recorded is not None:
            return recorded
        row = self._catalogue.band(region, instance_type, system)
        ceiling = self._catalogue.on_demand(region, instance_type, system)
        if row is None or ceiling is None:
            return None
        return ceiling * (1 - row["s"] / 100) * random.uniform(0.9, 1.12)

    def describe_spot_price_history(self, world: World, call: Call) -> Mapping[str, Any]:
        """`ec2.DescribeSpotPriceHistory`: newest first; the price in force at StartTime is part of the answer."""
        now = world.now()
        end = min(_aware(call.params.get("EndTime")) or now, now)
        start = max(_aware(call.params.get("StartTime")) or now - HISTORY, now - HISTORY)
        size = int(call.params.get("MaxResults") or PAGE)
        rows = self._rows(world, call, start, end)
        found, following = page(rows, next_token=call.params.get("NextToken"), size=min(size, PAGE))
        return {"NextToken": following or "", "SpotPriceHistory": found}

    def _rows(self, world: World, call: Call, start: datetime, end: datetime) -> Sequence[Mapping[str, Any]]:
        # The pages of one listing repeat its parameters: the list is made for the first and kept for the others.
        query = {name: value for name, value in call.params.items() if name not in {"NextToken", "MaxResults"}}
        key = (call.account_id, call.region, repr(query))
        if not call.params.get("NextToken") or key not in self._pages:
            if len(self._pages) > 64:  # noqa: PLR2004 - listings kept at once
                self._pages.clear()
            rows = [row for row in self._all_rows(world, call, start, end) if _matches(row, call.params)]
            self._pages[key] = sorted(rows, key=lambda row: row["Timestamp"], reverse=True)
        return self._pages[key]

    def _all_rows(self, world: World, call: Call, start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
        names = self._types(call)
        products = _wanted(call.params, "ProductDescriptions", "product-description") or _DEFAULT_PRODUCTS
        for zone, zone_id in world.zones(call.account_id, call.region).items():
            for name in names:
                for product in products:
                    pool = self.pool(call.region, zone_id, name, _system(product))
                    fixed = {"AvailabilityZone": zone, "AvailabilityZoneId": zone_id, "InstanceType": name}
                    yield from _changes(pool, {**fixed, "ProductDescription": product}, start, end) if pool else ()

    def _types(self, call: Call) -> Sequence[str]:
        wanted = _wanted(call.params, "InstanceTypes", "instance-type")
        unknown = [name for name in wanted if name not in self._catalogue.types]
        if unknown:
            raise ServiceError("InvalidParameterValue", f"Invalid instance type: {', '.join(unknown)}")
        return wanted or list(self._catalogue.sold_in(call.region))


def _changes(pool: Pool, fixed: Mapping[str, Any], start: datetime, end: datetime) -> Iterator[Mapping[str, Any]]:
    """The changes within a span, and the last one before it."""
    for slot in range(pool.slot_at(start), pool.slot_at(end) + 1):
        yield {**fixed, "SpotPrice": f"{pool.price(slot):.6f}", "Timestamp": pool.began(slot)}


def _system(product: str) -> str:
    if product not in _PRODUCTS:
        raise ServiceError("InvalidParameterValue", f"Invalid product description: {product}")
    return _PRODUCTS[product]


def _wanted(params: Mapping[str, Any], name: str, filter_name: str) -> list[str]:
    filtered = [value for item in params.get("Filters", []) if item["Name"] == filter_name for value in item["Values"]]
    return [*dict.fromkeys([*params.get(name, []), *filtered])]


def _matches(row: Mapping[str, Any], params: Mapping[str, Any]) -> bool:
    for name in ("AvailabilityZone", "AvailabilityZoneId"):
        if params.get(name) and row[name] != params[name]:
            return False
    return all(row[_filter_field(item["Name"])] in item["Values"] for item in params.get("Filters", []))


def _filter_field(name: str) -> str:
    if name not in _FILTERS:
        raise ServiceError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return _FILTERS[name]


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

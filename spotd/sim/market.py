"""The Spot market: a price for every pool at every moment, the same for the same seed.

A price holds for hours and then moves a little (as since AWS's smoothing of November 2017): each pool has a level,
two slow waves and small steps. Levels come from recorded prices, else from the Advisor's savings, else from chance.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any
from zlib import crc32

from spotd.sim.catalogue import LINUX, WINDOWS, Catalogue
from spotd.sim.errors import ServiceError
from spotd.sim.paging import opened, token
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
        step = 0.04 * (crc32(f"{self.key}/{slot // 2}".encode()) / 0xFFFFFFFF - 0.5)
        return min(self.ceiling, self.level * (1 + wave + step))

    def began(self, slot: int) -> datetime:
        """When a slot's price was set."""
        return _EPOCH + slot * SLOT + self.offset

    def slot_at(self, moment: datetime) -> int:
        """The slot in force at a moment."""
        return (moment - self.offset - _EPOCH) // SLOT


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when prices are asked for: the price in force at the start is part of it."""

    start: datetime
    end: datetime

    def holds(self, pool: Pool, slot: int) -> bool:
        """Whether a pool's slot belongs to it."""
        began = pool.began(slot)
        return began <= self.end and (began >= self.start or slot == pool.slot_at(self.start))

    def slots(self) -> range:
        """Every slot that may belong to it, newest first."""
        newest, oldest = ((moment - _EPOCH) // SLOT for moment in (self.end, self.start))
        return range(newest, oldest - 2, -1)


class Market:
    """Prices of all pools, and the operation that tells them."""

    def __init__(self, catalogue: Catalogue, seed: int) -> None:
        self._catalogue = catalogue
        self._seed = seed
        self._pool = lru_cache(maxsize=50_000)(self._make_pool)

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
        """`ec2.DescribeSpotPriceHistory`: newest first; a token is the place in that order where the page ended."""
        now = world.now()
        end = min(_aware(call.params.get("EndTime")) or now, now)
        start = max(_aware(call.params.get("StartTime")) or now - HISTORY, now - HISTORY)
        size = min(int(call.params.get("MaxResults") or PAGE), PAGE)
        # Each pool changes once a slot, always at the same offset: slot by slot, late pools first, is newest first.
        pools = sorted(self._pools(world, call), key=lambda item: (item[0].offset, item[0].key), reverse=True)
        rows: list[Mapping[str, Any]] = []
        for place, row in _rows(pools, Span(start, end), opened(call.params.get("NextToken"))):
            if len(rows) == size:
                return {"NextToken": token(place), "SpotPriceHistory": rows}
            if all(_meets(row, item) for item in call.params.get("Filters", [])):
                rows.append(row)
        return {"NextToken": "", "SpotPriceHistory": rows}

    def _pools(self, world: World, call: Call) -> Iterator[tuple[Pool, Mapping[str, str]]]:
        names = self._types(call)
        products = _wanted(call.params, "ProductDescriptions", "product-description") or _DEFAULT_PRODUCTS
        for zone, zone_id in world.zones(call.account_id, call.region).items():
            if zone != call.params.get("AvailabilityZone", zone) or zone_id != call.params.get(
                "AvailabilityZoneId", zone_id
            ):
                continue
            for name, product in itertools.product(names, products):
                pool = self.pool(call.region, zone_id, name, _system(product))
                fixed = {"AvailabilityZone": zone, "AvailabilityZoneId": zone_id, "InstanceType": name}
                if pool is not None:
                    yield pool, {**fixed, "ProductDescription": product}

    def _types(self, call: Call) -> Sequence[str]:
        wanted = _wanted(call.params, "InstanceTypes", "instance-type")
        unknown = [name for name in wanted if name not in self._catalogue.types]
        if unknown:
            raise ServiceError("InvalidParameterValue", f"Invalid instance type: {', '.join(unknown)}")
        return wanted or list(self._catalogue.sold_in(call.region))


def _rows(
    pools: Sequence[tuple[Pool, Mapping[str, str]]], span: Span, after: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(place, row) in order, from the given place on."""
    first_slot, _, first_pool = after.partition("/")
    slots = span.slots() if not after else range(int(first_slot), span.slots().stop, -1)
    skipped = int(first_pool or 0)
    for slot in slots:
        for number, (pool, fixed) in enumerate(pools):
            if number >= skipped and span.holds(pool, slot):
                price = {"SpotPrice": f"{pool.price(slot):.6f}", "Timestamp": pool.began(slot)}
                yield f"{slot}/{number}", {**fixed, **price}
        skipped = 0


def _system(product: str) -> str:
    if product not in _PRODUCTS:
        raise ServiceError("InvalidParameterValue", f"Invalid product description: {product}")
    return _PRODUCTS[product]


def _wanted(params: Mapping[str, Any], name: str, filter_name: str) -> list[str]:
    filtered = [value for item in params.get("Filters", []) if item["Name"] == filter_name for value in item["Values"]]
    return [*dict.fromkeys([*params.get(name, []), *filtered])]


def _meets(row: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    return row[_filter_field(item["Name"])] in item["Values"]


def _filter_field(name: str) -> str:
    if name not in _FILTERS:
        raise ServiceError("InvalidParameterValue", f"The filter '{name}' is invalid")
    return _FILTERS[name]


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

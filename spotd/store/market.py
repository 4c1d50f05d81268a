"""The market: prices, interruption bands, what types offer, and what instances use.

Every row carries its source and when it was observed. When a source was last read at all is in `passes`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from spotd.engine.market import product_of
from spotd.model.instance import InstanceType
from spotd.model.market import AdvisorRate, CpuUsage, OnDemandPrice, SpotPrice
from spotd.store.db import Executor
from spotd.store.db.values import Row, maybe_when, to_json, when
from spotd.store.paging import Page, Word, in_slices, key_of, page_of
from spotd.store.statements import load

SQL = load("market")

T = TypeVar("T")

PriceKey = tuple[str, str, str, str]

_instance_type = msgspec.json.Decoder(InstanceType).decode


class Price(Struct, frozen=True, kw_only=True):
    """What one pool costs per hour; `az` None stands for a type whose Spot price is not known."""

    region: str
    az: str | None
    az_id: str | None
    instance_type: str
    product: str
    spot_micros: int | None
    on_demand_micros: int | None
    source: str
    observed_at: datetime


class PriceFilter(Struct, frozen=True, kw_only=True):
    """Which prices to list; None means any."""

    region: str | None = None
    az: str | None = None
    instance_type: str | None = None
    product: str | None = None


async def record_spot(db: Executor, prices: Sequence[SpotPrice]) -> None:
    """Store price steps, in any order: the newest per pool and the history. Products lose their network's name."""
    steps = sorted(await in_slices(lambda p: (*_pool(p), p.observed_at, p.micros), prices))
    newest = {_pool(price): price for price in sorted(prices, key=lambda price: price.observed_at)}
    latest = [(*pool, p.az_id, p.micros, p.observed_at, p.source) for pool, p in sorted(newest.items())]
    async with db.transaction() as tx:
        await tx.execute_many(SQL["insert_spot_history"], steps)
        await tx.execute_many(SQL["upsert_spot_price"], latest)


async def spot_prices(db: Executor, regions: Iterable[str]) -> tuple[SpotPrice, ...]:
    """Return the newest Spot price of every pool of some regions."""
    rows = await db.fetch(SQL["spot_prices_of"], to_json(list(regions)))
    return tuple(await in_slices(lambda row: _converted(row, SpotPrice), rows))


async def last_spot_price(db: Executor, region: str) -> datetime | None:
    """Return when the newest known price change of a region was, to go on from there."""
    row = await db.fetch_one(SQL["last_spot_price"], region)
    return None if row is None else maybe_when(row["observed_at"])


async def spot_history(
    db: Executor, *, region: str, az: str, instance_type: str, product: str, since: datetime
) -> tuple[tuple[datetime, int], ...]:
    """Return a pool's price steps (time, micro-dollars) since a moment, led by the one in force then."""
    rows = await db.fetch(SQL["spot_history"], region, az, instance_type, product_of(product), since)
    return tuple((when(row["observed_at"]), row["micros"]) for row in rows)


async def record_on_demand(db: Executor, prices: Sequence[OnDemandPrice]) -> None:
    """Store on-demand prices; an older one never wins."""
    rows = sorted((p.region, p.instance_type, product_of(p.product), p.micros, p.observed_at, p.source) for p in prices)
    await db.execute_many(SQL["upsert_on_demand_price"], rows)


async def on_demand_prices(db: Executor, regions: Iterable[str]) -> tuple[OnDemandPrice, ...]:
    """Return the on-demand prices of some regions."""
    rows = await db.fetch(SQL["on_demand_prices_of"], to_json(list(regions)))
    return tuple(await in_slices(lambda row: _converted(row, OnDemandPrice), rows))


async def replace_advisor(db: Executor, rates: Sequence[AdvisorRate]) -> None:
    """Replace the Spot Advisor's rates with a newer feed, all or nothing."""
    rows = await in_slices(
        lambda r: (r.region, r.instance_type, r.product, r.band, r.savings_percent, r.observed_at, r.source), rates
    )
    async with db.transaction() as tx:
        await tx.execute(SQL["delete_advisor_rates"])
        await tx.execute_many(SQL["insert_advisor_rate"], rows)


async def advisor_rates(db: Executor, regions: Iterable[str]) -> tuple[AdvisorRate, ...]:
    """Return the Spot Advisor's rates of some regions."""
    rows = await db.fetch(SQL["advisor_rates_of"], to_json(list(regions)))
    return tuple(await in_slices(lambda row: _converted(row, AdvisorRate), rows))


async def record_types(db: Executor, types: Sequence[InstanceType], *, now: datetime) -> None:
    """Store what instance types offer."""
    rows = await in_slices(lambda one: (one.name, to_json(one), now), sorted(types, key=lambda one: one.name))
    await db.execute_many(SQL["upsert_instance_type"], rows)


async def instance_types(db: Executor) -> Mapping[str, InstanceType]:
    """Return what every known instance type offers, by name."""
    rows = await db.fetch(SQL["all_instance_types"])
    return dict(await in_slices(lambda row: (row["name"], _instance_type(row["facts"])), rows))


async def record_cpu(db: Executor, account_id: int, usages: Iterable[CpuUsage]) -> None:
    """Store what CloudWatch says of an account's (`accounts.id`) instances."""
    rows = [
        (account_id, u.instance_id, u.average_percent, u.peak_percent, u.hours, u.observed_at)
        for u in sorted(usages, key=lambda usage: usage.instance_id)
    ]
    await db.execute_many(SQL["upsert_cpu_usage"], rows)


async def cpu_usage(db: Executor, account_id: int) -> Mapping[str, CpuUsage]:
    """Return what CloudWatch said of an account's instances, by instance id."""
    rows = await db.fetch(SQL["cpu_usage_of"], account_id)
    return {row["instance_id"]: usage for row, usage in zip(rows, await _usages(rows), strict=True)}


async def list_prices(
    db: Executor, wanted: PriceFilter | None = None, *, limit: int = 100, cursor: str | None = None
) -> Page[Price]:
    """Return pools by region, zone, type and product; raises InvalidInput for a cursor we did not make."""
    wanted = wanted or PriceFilter()
    last: PriceKey = ("", "", "", "") if cursor is None else key_of(cursor, tuple[Word, Word, Word, Word])
    names = ("last_region", "last_az", "last_type", "last_product")
    facts = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    sql, args = SQL.filtered("list_prices", limit=limit + 1, **facts, **dict(zip(names, last, strict=True)))
    items = await in_slices(_price, await db.fetch(sql, *args))
    return page_of(items, limit, lambda price: (price.region, price.az or "", price.instance_type, price.product))


def _pool(price: SpotPrice) -> PriceKey:
    return price.region, price.az, price.instance_type, product_of(price.product)


def _price(row: Row) -> Price:
    facts: dict[str, Any] = {name: row[name] for name in Price.__struct_fields__}
    return Price(**{**facts, "az": row["az"] or None, "observed_at": when(row["observed_at"])})


async def _usages(rows: Sequence[Row]) -> list[CpuUsage]:
    return await in_slices(lambda row: _converted(row, CpuUsage), rows)


def _converted(row: Row, kind: type[T]) -> T:
    """Return a row as the type whose fields are named as its columns."""
    fields: tuple[str, ...] = kind.__struct_fields__  # type: ignore[attr-defined]
    facts = {name: row[name] for name in fields}
    return kind(**{**facts, "observed_at": when(row["observed_at"])})

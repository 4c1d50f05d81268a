"""The inventory: what each pass over a scope saw, written only where it changed.

`account_id` is `accounts.id` here. Nothing is written for an instance that is as it was; which instances a pass saw is
remembered by the pass itself, and what a complete pass did not see becomes a tombstone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from spotd.errors import InvalidInput
from spotd.model.instance import LIVE, Instance, State, StoredInstance
from spotd.store import scopes
from spotd.store.db import Database, Executor
from spotd.store.db.values import to_json
from spotd.store.instance_rows import facts_of, stored_instance
from spotd.store.paging import Page, id_of, in_slices, page_of
from spotd.store.statements import load

SQL = load("instances")

CHUNK = 1000
TAG_SLOTS = ("tag_a", "tag_b", "tag_c", "tag_d")

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class InstanceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which instances to list; None means any.

    `account_id` is the 12 digits. `tags` are `key` or `key=value`, all of which must be there. `live` False lists only
    what is gone, True only what is not.
    """

    account_id: str | None = None
    region: str | None = None
    state: str | None = None
    lifecycle: str | None = None
    instance_type: str | None = None
    tags: tuple[str, ...] = ()
    live: bool | None = None


class PoolUse(msgspec.Struct, frozen=True, kw_only=True):
    """How many instances of a type and product a region has."""

    region: str
    instance_type: str
    product: str
    number: int


class _Known(NamedTuple):
    digest: str
    generation: int
    gone: bool


async def upsert_changed(
    db: Executor, account_id: int, region: str, generation: int, instances: Sequence[Instance], *, now: datetime
) -> int:
    """Store what a page of a pass changes; return how many rows that are.

    A pass that a newer one has overtaken writes nothing, and so does one whose account is gone.
    """
    digests = await in_slices(digest_of, instances)
    async with db.transaction() as tx:
        if not await scopes.hold(tx, account_id, region, generation):
            return 0
        return await _write(tx, (account_id, region, generation), zip(instances, digests, strict=True), now)


async def refresh(
    db: Executor, account_id: int, region: str, generation: int, instances: Sequence[Instance], *, now: datetime
) -> int:
    """Store what a describe of single instances changes, between two passes; return how many rows that are.

    `generation` is `scopes.current` from before the describe: the pass under way then may hold older facts and neither
    overwrites nor ends what is written here; the next one may.
    """
    digests = await in_slices(digest_of, instances)
    async with db.transaction() as tx:
        scope = (account_id, region, generation + 1)
        return await _write(tx, scope, zip(instances, digests, strict=True), now)


async def close_pass(
    db: Executor, account_id: int, region: str, generation: int, *, seen_ids: Collection[str], now: datetime
) -> int:
    """End a complete pass: tombstone what it did not see, mark the scope complete; return how many tombstones.

    A pass that a newer one has overtaken ends nothing and completes nothing.
    """
    seen = seen_ids if isinstance(seen_ids, set | frozenset) else frozenset(seen_ids)
    async with db.transaction() as tx:
        if not await scopes.hold(tx, account_id, region, generation):
            return 0
        rows = await tx.fetch(SQL["live_ids"], account_id, region)
        gone = [
            row["instance_id"] for row in rows if row["instance_id"] not in seen and row["generation"] <= generation
        ]
        await tx.execute_many(SQL["end_instance"], [(account_id, instance_id, now) for instance_id in gone])
        await scopes.complete(tx, account_id, region, generation, seen=len(seen), now=now)
        return len(gone)


async def end(db: Executor, account_id: int, instance_ids: Iterable[str], *, now: datetime) -> None:
    """Tombstone instances that AWS says are gone, without waiting for the next pass."""
    await db.execute_many(SQL["end_instance"], [(account_id, instance_id, now) for instance_id in instance_ids])


async def set_state(db: Executor, account_id: int, instance_id: str, state: State, *, now: datetime) -> bool:
    """Note a state that an event told; return whether it is news. States of what is gone make a tombstone."""
    if state not in LIVE:
        return await db.execute(SQL["end_instance"], account_id, instance_id, now) > 0
    return await db.execute(SQL["set_state"], account_id, instance_id, state.value, now) > 0


async def set_load_balancers(
    db: Executor, account_id: int, region: str, membership: Mapping[str, Sequence[str]], *, now: datetime
) -> int:
    """Store which load balancers serve each instance of a scope, none for one not named; return how many changed."""
    async with db.transaction() as tx:
        rows = await tx.fetch(SQL["get_load_balancers"], account_id, region)
        wanted = {row["instance_id"]: to_json(sorted(membership.get(row["instance_id"], ()))) for row in rows}
        changed = [row["instance_id"] for row in rows if wanted[row["instance_id"]] != row["load_balancers"]]
        changes = [(account_id, region, instance_id, wanted[instance_id], now) for instance_id in changed]
        await tx.execute_many(SQL["set_load_balancers"], changes)
        return len(changes)


async def list_page(
    db: Database, wanted: InstanceFilter | None = None, *, limit: int = 100, cursor: str | None = None
) -> Page[StoredInstance]:
    """Return instances in the order they were first stored.

    Raises InvalidInput for a cursor we did not make, and for more tags than there are slots.
    """
    wanted = wanted or InstanceFilter()
    facts = _listing_facts(wanted)
    sql, args = SQL.filtered("list_instances", after=id_of(cursor, default=0), limit=limit + 1, **facts)
    # No index knows tags, so a rare one is looked for in the whole fleet: other readers do not wait for that.
    async with db.snapshot() if wanted.tags else nullcontext(db) as view:
        rows = await view.fetch(sql, *args)
    items = await in_slices(lambda row: (row["id"], stored_instance(row)), rows)
    page = page_of(items, limit, lambda item: (item[0],))
    return Page(items=tuple(stored for _, stored in page.items), next_cursor=page.next_cursor)


async def by_ids(
    db: Executor, instance_ids: Iterable[str], *, account_id: int | None = None
) -> tuple[StoredInstance, ...]:
    """Return the instances with these ids, tombstones included, of one account or of any."""
    sql, args = SQL.filtered("some_instances", ids=to_json(list(instance_ids)), account=account_id)
    return tuple(await in_slices(stored_instance, await db.fetch(sql, *args)))


async def live(db: Executor, account_id: int, region: str | None = None) -> tuple[StoredInstance, ...]:
    """Return what is not gone of an account, or of one of its regions."""
    found: list[StoredInstance] = []
    after = 0
    while True:
        sql, args = SQL.filtered("live_instances", account=account_id, region=region, after=after, limit=CHUNK)
        rows = await db.fetch(sql, *args)
        found += await in_slices(stored_instance, rows)
        if len(rows) < CHUNK:
            return tuple(found)
        after = rows[-1]["id"]


async def pools_in_use(db: Executor, account_id: int | None = None) -> tuple[PoolUse, ...]:
    """Return the types and products in use, by region, of one account or of all."""
    sql, args = SQL.filtered("pools_in_use", account=account_id)
    return tuple(
        PoolUse(
            region=row["region"], instance_type=row["instance_type"], product=row["product"], number=int(row["number"])
        )
        for row in await db.fetch(sql, *args)
    )


async def running_ids(db: Executor, account_id: int) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of an account's running instances by region."""
    found: dict[str, list[str]] = {}
    for row in await db.fetch(SQL["running_ids"], account_id):
        found.setdefault(row["region"], []).append(row["instance_id"])
    return {region: tuple(ids) for region, ids in found.items()}


def digest_of(instance: Instance) -> str:
    """Return a hash of all that is known of an instance; equal facts give an equal one."""
    return blake2b(_encode(instance), digest_size=16).hexdigest()


def _listing_facts(wanted: InstanceFilter) -> dict[str, object]:
    if len(wanted.tags) > len(TAG_SLOTS):
        raise InvalidInput(f"at most {len(TAG_SLOTS)} tags can be asked for", field="tag")
    facts: dict[str, object] = dict.fromkeys(TAG_SLOTS)
    facts.update(zip(TAG_SLOTS, wanted.tags, strict=False))
    facts.update((name, getattr(wanted, name)) for name in wanted.__struct_fields__ if name != "tags")
    return facts


async def _write(
    tx: Executor, scope: tuple[int, str, int], found: Iterable[tuple[Instance, str]], now: datetime
) -> int:
    """Upsert what differs from the stored rows; return how many rows."""
    account_id, region, generation = scope
    # In one order everywhere: two transactions that write the same rows then wait for each other, and do not deadlock.
    found = sorted(found, key=lambda item: item[0].instance_id)
    ids = to_json([instance.instance_id for instance, _ in found])
    known = {
        row["instance_id"]: _Known(row["digest"], row["generation"], bool(row["gone"]))
        for row in await tx.fetch(SQL["known_instances"], account_id, region, ids)
    }
    changed = [
        (instance, digest)
        for instance, digest in found
        if _is_news(instance, digest, generation, known.get(instance.instance_id))
    ]
    rows = await in_slices(lambda item: _row(scope, item[0], item[1], now), changed)
    await tx.execute_many(SQL["upsert_instance"], rows)
    return len(rows)


def _is_news(instance: Instance, digest: str, generation: int, known: _Known | None) -> bool:
    if known is None:
        return instance.state in LIVE
    if known.generation > generation:
        return False
    return instance.state in LIVE if known.gone else known.digest != digest


def _row(scope: tuple[int, str, int], instance: Instance, digest: str, now: datetime) -> tuple[object, ...]:
    account_id, region, generation = scope
    return (
        account_id,
        region,
        instance.instance_id,
        instance.availability_zone,
        instance.az_id,
        instance.instance_type,
        instance.state.value,
        instance.lifecycle.value,
        instance.asg_name,
        instance.cluster,
        instance.managed,
        to_json(instance.tags),
        instance.launched_at,
        instance.product,
        instance.tenancy,
        facts_of(instance),
        digest,
        generation,
        None if instance.state in LIVE else now,
        now,
    )

"""What is worth asking AWS about: the types and products in the inventory, and what could replace them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from spotd.engine.compatibility import substitutes
from spotd.engine.market import LINUX, SPOT_PRODUCTS, product_of
from spotd.model.account import Account, Status
from spotd.model.instance import InstanceType
from spotd.store import accounts, instances
from spotd.store.db import Database
from spotd.store.instances import PoolUse


class Holding(Struct, frozen=True, kw_only=True):
    """What one account has: its types and products by region, and which of its instances run where."""

    account: Account
    pools: tuple[PoolUse, ...]
    running: Mapping[str, tuple[str, ...]]


class Demand(Struct, frozen=True, kw_only=True):
    """What one region's instances need to know of the market; any of `accounts` may ask for it."""

    region: str
    accounts: tuple[Account, ...]
    types: frozenset[str]
    products: frozenset[str]


async def holdings(db: Database) -> tuple[Holding, ...]:
    """Return what every account that AWS lets us ask as has, in the order of their keys."""
    usable = {Status.CONNECTED, Status.ACTIVE}
    return tuple([await holding(db, one) for one in await accounts.all_accounts(db) if one.status in usable])


async def holding(db: Database, account: Account) -> Holding:
    """Return what one account has."""
    pools = await instances.pools_in_use(db, account.id)
    return Holding(account=account, pools=pools, running=await instances.running_ids(db, account.id))


def demands(held: Iterable[Holding]) -> tuple[Demand, ...]:
    """Return one demand for each region with instances, by name."""
    by_region: defaultdict[str, list[tuple[Account, PoolUse]]] = defaultdict(list)
    for one in held:
        for pool in one.pools:
            by_region[pool.region].append((one.account, pool))
    return tuple(_demand(region, used) for region, used in sorted(by_region.items()))


def _demand(region: str, used: Collection[tuple[Account, PoolUse]]) -> Demand:
    return Demand(
        region=region,
        accounts=tuple({account.id: account for account, _ in used}.values()),
        types=frozenset(pool.instance_type for _, pool in used),
        products=frozenset(product_of(pool.product) for _, pool in used) & SPOT_PRODUCTS or frozenset({LINUX}),
    )


def widened(names: frozenset[str], known: Mapping[str, InstanceType]) -> frozenset[str]:
    """Return these types with all that could stand in for one of them; a type not known stands for itself."""
    found = set(names)
    for name in names & known.keys():
        found |= substitutes(known[name], known.values())
    return frozenset(found)

"""Facts about the database itself: the key's canary, the epoch that a restore moves on."""

from spotd.store.db import Executor
from spotd.store.statements import load

SQL = load("meta")

EPOCH = "epoch"


async def get(db: Executor, name: str) -> str | None:
    """Return a fact, None if it is not there."""
    row = await db.fetch_one(SQL["get_meta"], name)
    return None if row is None else str(row["value"])


async def put(db: Executor, name: str, value: str) -> None:
    """Store a fact, in place of an older one."""
    await db.execute(SQL["put_meta"], name, value)


async def put_once(db: Executor, name: str, value: str) -> str:
    """Store a fact unless it is there, and return the one that is: several daemons may start at once."""
    async with db.transaction() as tx:
        await tx.execute(SQL["put_meta_once"], name, value)
        stored = await get(tx, name)
        assert stored is not None
        return stored


async def epoch(db: Executor) -> int:
    """Return how often this database was restored."""
    return int(await get(db, EPOCH) or 0)


async def bump_epoch(db: Executor) -> int:
    """Move the epoch on, because what follows does not continue what came before; return the new one."""
    async with db.transaction() as tx:
        new = await epoch(tx) + 1
        await put(tx, EPOCH, str(new))
        return new

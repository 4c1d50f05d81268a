"""Bring a database to the schema this daemon knows: numbered migrations, each in one transaction with its version."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct

from spotd.errors import SchemaTooNew
from spotd.store.db import Database, Executor

VERSION_TABLE = """
CREATE TABLE IF NOT EXISTS schema_version (
    version    INTEGER NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_at TIMESTAMPTZ NOT NULL
)
"""

IS_BLANK = {
    "sqlite": "SELECT count(*) = 0 AS blank FROM sqlite_schema WHERE name = 'schema_version'",
    "postgres": "SELECT to_regclass('schema_version') IS NULL AS blank",
}

TAKE_TURN = {
    "sqlite": "SELECT 1",  # a transaction that writes is alone
    "postgres": "SELECT pg_advisory_xact_lock(7307074)",
}


class Migration(Struct, frozen=True, kw_only=True):
    """One step of the schema."""

    version: int
    name: str
    script: str


def migrations(dialect: str, folder: Traversable | None = None) -> tuple[Migration, ...]:
    """Read `NNNN_name.sql`, each followed by its `NNNN_name.<dialect>.sql` if there is one, in order."""
    folder = folder or files(__package__).joinpath("migrations")
    texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".sql")}
    stems = sorted(name.removesuffix(".sql") for name in texts if name.count(".") == 1)
    return tuple(_migration(stem, dialect, texts) for stem in stems)


async def version_of(db: Database) -> int:
    """Return the version of a database's schema, 0 for a blank one."""
    row = await db.fetch_one(IS_BLANK[db.dialect])
    return 0 if row is None or row["blank"] else await _version(db)


async def pending(db: Database, known: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Return what `migrate` would apply, without changing anything; raises SchemaTooNew."""
    known = await asyncio.to_thread(migrations, db.dialect) if known is None else known
    current = await version_of(db)
    _require_known(current, known)
    return tuple(migration for migration in known if migration.version > current)


async def migrate(db: Database, *, now: datetime, known: Sequence[Migration] | None = None) -> tuple[Migration, ...]:
    """Apply what is missing, in order, and return it; raises SchemaTooNew before touching anything.

    Several daemons may start at once on one Postgres: each migration is applied by one of them.
    """
    owed = await pending(db, known)
    return tuple([migration for migration in owed if await _apply(db, migration, now)])


async def _apply(db: Database, migration: Migration, now: datetime) -> bool:
    async with db.transaction() as tx:
        await tx.fetch(TAKE_TURN[db.dialect])
        await tx.execute(VERSION_TABLE)
        if await _version(tx) >= migration.version:
            return False
        await tx.run_script(migration.script)
        await tx.execute("INSERT INTO schema_version VALUES ($1, $2, $3)", migration.version, migration.name, now)
        return True


async def _version(db: Executor) -> int:
    row = await db.fetch_one("SELECT coalesce(max(version), 0) AS version FROM schema_version")
    return 0 if row is None else int(row["version"])


def _require_known(current: int, known: Sequence[Migration]) -> None:
    latest = max((migration.version for migration in known), default=0)
    if current > latest:
        raise SchemaTooNew(
            f"the database has schema {current}, this spotd knows {latest}: run the newer spotd, or restore a backup"
        )


def _migration(stem: str, dialect: str, texts: Mapping[str, str]) -> Migration:
    number, _, name = stem.partition("_")
    script = texts[f"{stem}.sql"] + "\n" + texts.get(f"{stem}.{dialect}.sql", "")
    return Migration(version=int(number), name=name, script=script)

"""Migrations bring a blank database to the schema this daemon knows, and refuse a newer one."""

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from spotd.errors import SchemaTooNew
from spotd.store.db import Database, open_database
from spotd.store.schema import Migration, migrate, migrations, pending, version_of

COLUMNS = {
    "sqlite": """
        SELECT m.name AS tab, c.name AS col, c."notnull" = 0 AND c.pk = 0 AS optional
        FROM sqlite_schema m JOIN pragma_table_info(m.name) c
        WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name, c.cid
    """,
    "postgres": """
        SELECT table_name AS tab, column_name AS col, is_nullable = 'YES' AS optional FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name IN (SELECT tablename FROM pg_tables)
        ORDER BY table_name COLLATE "C", ordinal_position
    """,
}

CONTRACT = {
    "accounts": [
        *("id", "account_id", "name", "status", "connection_method", "role_arn", "external_id", "regions"),
        *("conditions", "metadata", "created_at", "updated_at"),
    ],
    "instances": [
        *("id", "account_id", "instance_id", "region", "availability_zone", "az_id", "instance_type", "state"),
        *("lifecycle", "asg_name", "cluster", "managed", "tags", "launched_at", "first_seen_at", "changed_at"),
        "terminated_at",
    ],
    "system_logs": ["id", "timestamp", "component", "level", "message", "details"],
}


def step(version: int, script: str) -> Migration:
    """Return a migration."""
    return Migration(version=version, name=f"step_{version}", script=script)


async def test_a_blank_database_gets_everything_once(blank: Database, now: datetime) -> None:
    """The first start applies every migration, the second none."""
    known = migrations(blank.dialect)
    assert await version_of(blank) == 0
    assert await pending(blank) == known
    assert await version_of(blank) == 0

    assert await migrate(blank, now=now) == known
    assert await migrate(blank, now=now) == ()
    assert await pending(blank) == ()
    assert await version_of(blank) == known[-1].version


async def test_versions_count_up_without_a_gap(blank: Database) -> None:
    """Each migration has its own number, from 1 on."""
    assert [one.version for one in migrations(blank.dialect)] == [*range(1, len(migrations(blank.dialect)) + 1)]


async def test_a_newer_schema_is_refused(db: Database, now: datetime) -> None:
    """A database that a newer spotd wrote is not touched."""
    await db.execute("INSERT INTO schema_version VALUES (99, 'later', $1)", now)

    with pytest.raises(SchemaTooNew, match="99"):
        await migrate(db, now=now)
    with pytest.raises(SchemaTooNew):
        await pending(db)


async def test_a_migration_that_fails_leaves_nothing(db: Database, now: datetime) -> None:
    """A migration is applied as a whole or not at all."""
    known = migrations(db.dialect)
    bad = step(len(known) + 1, "CREATE TABLE half (x INTEGER);\nCREATE TABLE half (x INTEGER);")

    with pytest.raises(Exception, match="half"):
        await migrate(db, now=now, known=(*known, bad))

    assert await version_of(db) == len(known)
    assert "half" not in {row["tab"] for row in await db.fetch(COLUMNS[db.dialect])}


async def test_daemons_that_start_together_migrate_once(url: str, now: datetime) -> None:
    """Of several daemons on one blank database each finds it complete, and none fails."""
    databases = [await open_database(url, pool_size=2) for _ in range(3)]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(migrate(one, now=now)) for one in databases]
        applied = sorted(len(task.result()) for task in tasks)
        assert sum(applied) == len(migrations(databases[0].dialect))
    finally:
        for one in databases:
            await one.close()


async def test_other_programs_find_their_columns(db: Database) -> None:
    """The contract tables begin with the contract's columns; ours come after them."""
    found: dict[str, list[str]] = {}
    for row in await db.fetch(COLUMNS[db.dialect]):
        found.setdefault(row["tab"], []).append(row["col"])

    for table, columns in CONTRACT.items():
        assert found[table][: len(columns)] == columns


async def test_both_engines_have_the_same_columns(tmp_path: Path, postgres_url: str, now: datetime) -> None:
    """Names, order and optionality of all columns are one on both engines."""
    seen = []
    for url in (f"sqlite:{tmp_path / 'spotd.db'}", postgres_url):
        db = await open_database(url)
        try:
            await migrate(db, now=now)
            rows = await db.fetch(COLUMNS[db.dialect])
            seen.append([(row["tab"], row["col"], bool(row["optional"])) for row in rows])
        finally:
            await db.close()

    assert seen[0] == seen[1]

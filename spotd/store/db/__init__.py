"""One set of SQL statements, two engines: SQLite (aiosqlite) and Postgres (asyncpg).

Statements use `$1` placeholders and the SQL both engines share; what differs between the engines is translated here and
nowhere else. A transaction is an explicit object: whatever runs inside it takes that object, never a context variable.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

from spotd.store.db.values import Row

SQLITE = "sqlite:"


class Executor(Protocol):
    """Run statements: a `Database` commits each one, a transaction commits them all.

    Raises Conflict when a constraint or trigger refuses a row, StoreUnavailable when the database cannot be reached, is
    busy, full or read-only. A statement that is wrong in itself raises the driver's own error, because it is a bug.
    """

    async def fetch(self, sql: str, *args: Any) -> Sequence[Row]:
        """Return every row."""
        ...

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """Return the first row, None if there is none."""
        ...

    async def execute(self, sql: str, *args: Any) -> int:
        """Return how many rows it changed."""
        ...

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of arguments, all or none."""
        ...

    def transaction(self) -> "AbstractAsyncContextManager[Transaction]":
        """Open a transaction; inside one, join it, so that a function may ask for one without knowing."""
        ...


class Transaction(Executor, Protocol):
    """Statements that take effect together when the block ends, or not at all if it raises."""

    async def run_script(self, script: str) -> None:
        """Run several statements of a migration."""
        ...


class Database(Executor, Protocol):
    """An open database."""

    @property
    def dialect(self) -> Literal["sqlite", "postgres"]:
        """Which engine this is; for migrations only."""
        ...

    def snapshot(self) -> AbstractAsyncContextManager[Executor]:
        """Open a read-only view of one moment, for reads that belong together; it holds up nobody."""
        ...

    async def ping(self) -> None:
        """Make one round trip; raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Give back every connection."""
        ...


def database_path(url: str) -> Path | None:
    """Return the file of an SQLite URL, None for Postgres."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


async def open_database(url: str, *, pool_size: int = 8) -> Database:
    """Open `sqlite:PATH` or `postgresql://…`; raises StoreUnavailable when it cannot be reached.

    `pool_size` is the most connections to Postgres; SQLite has one to write, one to read, and one per open snapshot.
    """
    path = database_path(url)
    if path is not None:
        # A daemon on one engine does not load the other's driver.
        from spotd.store.db.sqlite import SQLiteDatabase  # noqa: PLC0415

        return await SQLiteDatabase.open(path)
    from spotd.store.db.postgres import PostgresDatabase  # noqa: PLC0415

    return await PostgresDatabase.open(url, pool_size=pool_size)

"""SQLite through aiosqlite: one writer behind a lock, one reader; write-ahead logging lets them run together.

Deadlines are kept in SQLite's own thread, in real time: a timer on the event loop would make every statement two.
"""

import asyncio
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import aiosqlite

from spotd.errors import Conflict, StoreUnavailable
from spotd.store.db.values import Row, time_text

COMMAND_SECONDS = 30.0
"""How long one statement may compute; then SQLite is interrupted."""

BUSY_MILLISECONDS = 5000
"""How long to wait for another process, such as a backup or an operator's shell."""

PROGRESS_STEPS = 50_000
"""How many steps of SQLite's virtual machine pass between two looks at the clock: about a millisecond."""

UNAVAILABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
"""Primary result codes that say the world is broken; https://www.sqlite.org/rescode.html."""

PRAGMAS = (
    "journal_mode = WAL",
    # An event is deleted from its queue, and a step reported done, once its row is committed: it must be on the disk.
    "synchronous = FULL",
    "foreign_keys = ON",
    f"busy_timeout = {BUSY_MILLISECONDS}",
    "journal_size_limit = 67108864",
    # What is deleted, such as a sealed credential, is overwritten.
    "secure_delete = FAST",
)

SEALED = "/* sealed */"
"""Marks a statement that writes ciphertext: after its commit the write-ahead log is emptied, so that none stays there."""


class Prepared(NamedTuple):
    """A statement as SQLite takes it."""

    sql: str
    reads: bool
    seals: bool


@lru_cache(maxsize=1024)
def prepared(sql: str) -> Prepared:
    """Turn `$1` into `?1`: SQLite reads `$1` as a *name*, numbered by first appearance."""
    reads = sql.lstrip()[:6].upper() in {"SELECT", "VALUES", "EXPLAI"}
    return Prepared(re.sub(r"\$(\d+)", r"?\1", sql), reads, SEALED in sql)


@contextmanager
def translated() -> Iterator[None]:
    """Give the driver's errors our names; the driver's own stays as the cause."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise Conflict(str(error)) from error
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in UNAVAILABLE:
            raise StoreUnavailable(f"the database file cannot be used now: {error}") from error
        raise


def encoded(args: Iterable[Any]) -> list[Any]:
    """Return arguments as SQLite keeps them."""
    return [time_text(value) if isinstance(value, datetime) else value for value in args]


class Connection:
    """One connection with its thread: statements run one after the other, each under its deadline."""

    def __init__(self, driver: aiosqlite.Connection) -> None:
        self._driver = driver
        self._deadline = float("inf")

    @classmethod
    async def open(cls, path: Path, *, read_only: bool) -> "Connection":
        """Open a file, making it if need be; raises StoreUnavailable."""
        with translated():
            driver = await aiosqlite.connect(path, isolation_level=None)
            connection = cls(driver)
            try:
                await connection._prepare(read_only=read_only)
            except BaseException:
                await asyncio.shield(driver.close())
                raise
        return connection

    async def _prepare(self, *, read_only: bool) -> None:
        self._driver.row_factory = sqlite3.Row
        await self._driver.set_progress_handler(self._overdue, PROGRESS_STEPS)
        for pragma in (*PRAGMAS, f"query_only = {int(read_only)}"):
            await self._driver.execute_fetchall(f"PRAGMA {pragma}")

    async def fetch(self, sql: str, args: Iterable[Any]) -> list[Row]:
        """Return every row."""
        with translated():
            self._start()
            return list(await self._driver.execute_fetchall(sql, encoded(args)))

    async def execute(self, sql: str, args: Iterable[Any]) -> int:
        """Return how many rows a statement changed."""
        with translated():
            self._start()
            async with self._driver.execute(sql, encoded(args)) as cursor:
                return max(0, cursor.rowcount)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row; the rows are encoded in the driver's thread."""
        with translated():
            self._start()
            await self._driver.executemany(sql, (encoded(row) for row in rows))

    async def rollback(self) -> None:
        """Undo an open transaction, if there is one."""
        self._start()
        await self._driver.rollback()

    async def close(self) -> None:
        """Close, after the statement under way."""
        await self._driver.close()

    def _start(self) -> None:
        self._deadline = time.monotonic() + COMMAND_SECONDS

    def _overdue(self) -> int:
        return int(time.monotonic() > self._deadline)


class SQLiteTransaction:
    """Statements on the writer, between its `BEGIN` and its `COMMIT`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.state: Literal["open", "broken", "ended"] = "open"
        self.sealed = False

    async def fetch(self, sql: str, *args: Any) -> Sequence[Row]:
        """Return every row."""
        with self._statement(sql) as text:
            return await self._connection.fetch(text, args)

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """Return the first row, None if there is none."""
        return next(iter(await self.fetch(sql, *args)), None)

    async def execute(self, sql: str, *args: Any) -> int:
        """Return how many rows it changed."""
        with self._statement(sql) as text:
            return await self._connection.execute(text, args)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of arguments."""
        with self._statement(sql) as text:
            await self._connection.execute_many(text, rows)

    async def run_script(self, script: str) -> None:
        """Run several statements of a migration."""
        for statement in statements_of(script):
            await self.execute(statement)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["SQLiteTransaction"]:
        """Join this transaction."""
        yield self

    @contextmanager
    def _statement(self, sql: str) -> Iterator[str]:
        if self.state == "ended":
            raise RuntimeError("this transaction has ended")
        statement = prepared(sql)
        self.sealed = self.sealed or statement.seals
        try:
            yield statement.sql
        except BaseException:
            self.state = "broken"
            raise


class SQLiteDatabase:
    """A database in one file."""

    dialect: Literal["sqlite"] = "sqlite"

    def __init__(self, path: Path, writer: Connection, reader: Connection) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._sealed_in_log = False
        self._write_turn = asyncio.Lock()
        self._read_turn = asyncio.Lock()
        self._open = True

    @classmethod
    async def open(cls, path: Path) -> "SQLiteDatabase":
        """Open a file, making it if need be, readable by its owner only; raises StoreUnavailable."""
        try:
            await asyncio.to_thread(_touch, path)
        except OSError as error:
            raise StoreUnavailable(f"the database file cannot be opened: {error}") from error
        writer = await Connection.open(path, read_only=False)
        try:
            return cls(path, writer, await Connection.open(path, read_only=True))
        except BaseException:
            await asyncio.shield(writer.close())
            raise

    async def fetch(self, sql: str, *args: Any) -> Sequence[Row]:
        """Return every row; what writes (`… RETURNING`) is a transaction of its own."""
        statement = prepared(sql)
        if not statement.reads:
            async with self.transaction() as tx:
                return await tx.fetch(sql, *args)
        async with self._read_turn:
            self._require_open()
            return await self._reader.fetch(statement.sql, args)

    async def fetch_one(self, sql: str, *args: Any) -> Row | None:
        """Return the first row, None if there is none."""
        return next(iter(await self.fetch(sql, *args)), None)

    async def execute(self, sql: str, *args: Any) -> int:
        """Return how many rows it changed."""
        async with self.transaction() as tx:
            return await tx.execute(sql, *args)

    async def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each row of arguments, all or none."""
        async with self.transaction() as tx:
            await tx.execute_many(sql, rows)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SQLiteTransaction]:
        """Open a transaction; a second one waits for its end."""
        async with self._write_turn:
            self._require_open()
            tx = SQLiteTransaction(self._writer)
            try:
                await self._writer.execute("BEGIN IMMEDIATE", ())
                yield tx
                await self._commit(tx)
            except BaseException:
                # The thread works off its queue in order, so this comes after a statement that was cancelled under way.
                await asyncio.shield(self._writer.rollback())
                raise
            finally:
                tx.state = "ended"

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[SQLiteTransaction]:
        """Open a read-only view of one moment, on a connection of its own."""
        self._require_open()
        connection = await Connection.open(self.path, read_only=True)
        try:
            await connection.execute("BEGIN", ())
            yield SQLiteTransaction(connection)
        finally:
            await asyncio.shield(connection.close())

    async def ping(self) -> None:
        """Make one round trip; raises StoreUnavailable."""
        await self.fetch("SELECT count(*) FROM sqlite_schema")

    async def close(self) -> None:
        """Wait for the transaction under way, then close."""
        async with self._write_turn, self._read_turn:
            if self._open:
                self._open = False
                await self._reader.close()
                await self._writer.close()

    async def _commit(self, tx: SQLiteTransaction) -> None:
        if tx.state == "broken":
            raise Conflict("a statement of this transaction failed, so none of it was stored")
        await self._writer.execute("COMMIT", ())
        self._sealed_in_log = self._sealed_in_log or tx.sealed
        if self._sealed_in_log:
            await self._empty_log()

    async def _empty_log(self) -> None:
        """Move what is in the write-ahead log to the file; a reader of an older moment puts it off to the next commit."""
        with suppress(StoreUnavailable):
            [result] = await self._writer.fetch("PRAGMA wal_checkpoint(TRUNCATE)", ())
            self._sealed_in_log = bool(result["busy"])

    def _require_open(self) -> None:
        if not self._open:
            raise StoreUnavailable("the database is closed")


def statements_of(script: str) -> Iterator[str]:
    """Cut a script into its statements; a trigger's body stays whole."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _touch(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

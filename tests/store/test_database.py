"""What both engines promise to whoever runs a statement."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from spotd.errors import Conflict, StoreUnavailable
from spotd.store.db import Database, open_database
from spotd.store.db.values import when

TABLE = "CREATE TABLE item (id TEXT PRIMARY KEY, at TIMESTAMPTZ, flag BOOLEAN, number BIGINT)"
INSERT = "INSERT INTO item (id) VALUES ($1)"
NAMES = "SELECT id FROM item ORDER BY id"


@pytest.fixture
async def items(blank: Database) -> Database:
    """A database with one table."""
    await blank.execute(TABLE)
    return blank


async def names(db: Database) -> list[str]:
    """Return the ids of all items."""
    return [row["id"] for row in await db.fetch(NAMES)]


async def test_placeholders_are_bound_by_number(blank: Database) -> None:
    """`$2` is the second argument wherever it stands."""
    row = await blank.fetch_one("SELECT CAST($2 AS TEXT) AS b, CAST($1 AS TEXT) AS a", "x", "y")

    assert row is not None
    assert (row["a"], row["b"]) == ("x", "y")


async def test_a_missing_row_is_none(items: Database) -> None:
    """Asking for one row that is not there answers None."""
    assert await items.fetch_one(NAMES) is None


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 23, 21, 0, tzinfo=UTC),
        datetime(2026, 11, 23, 21, 0, 0, 123456, tzinfo=UTC),
        datetime(2026, 11, 23, 23, 30, tzinfo=timezone(timedelta(hours=2, minutes=30))),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
async def test_times_come_back_as_the_same_moment_in_utc(items: Database, moment: datetime) -> None:
    """A time is stored to the microsecond and comes back aware, in UTC."""
    await items.execute("INSERT INTO item (id, at) VALUES ($1, $2)", "a", moment)

    row = await items.fetch_one("SELECT at FROM item WHERE at = $1", moment)

    assert row is not None
    assert when(row["at"]) == moment
    assert when(row["at"]).tzinfo is UTC


async def test_times_sort_as_moments(items: Database) -> None:
    """Times with and without microseconds, of any zone, are ordered by the moment they mean."""
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    moments = [first + timedelta(microseconds=n) for n in (0, 1, 10, 999_999, 1_000_000)]
    await items.execute_many("INSERT INTO item (id, at) VALUES ($1, $2)", [(m.isoformat(), m) for m in moments[::-1]])

    rows = await items.fetch("SELECT at FROM item ORDER BY at")

    assert [when(row["at"]) for row in rows] == moments


async def test_a_time_without_zone_is_refused(items: Database) -> None:
    """A naive time is a bug, not a guess."""
    with pytest.raises(ValueError, match="zone"):
        await items.execute("INSERT INTO item (id, at) VALUES ($1, $2)", "a", datetime(2026, 1, 1))  # noqa: DTZ001


async def test_a_text_array_is_searched_on_both_engines(items: Database) -> None:
    """`json_each` makes rows of a JSON array's items, whatever they hold."""
    odd = ["a", "b'c", 'd"e', "ü✓", "back\\slash", ""]
    await items.execute_many(INSERT, [(name,) for name in [*odd, "other"]])

    rows = await items.fetch(
        "SELECT id FROM item WHERE id IN (SELECT value FROM json_each($1))",
        '["a","b\'c","d\\"e","ü✓","back\\\\slash",""]',
    )

    assert {row["id"] for row in rows} == set(odd)


async def test_execute_tells_how_many_rows_changed(items: Database) -> None:
    """A statement's result is its number of rows."""
    await items.execute_many(INSERT, [("a",), ("b",), ("c",)])

    assert await items.execute("UPDATE item SET number = 1 WHERE id <> $1", "a") == 2
    assert await items.execute("DELETE FROM item WHERE id = $1", "z") == 0


async def test_a_write_may_return_rows(items: Database) -> None:
    """`INSERT … RETURNING` works through `fetch`, and is committed."""
    row = await items.fetch_one(INSERT + " RETURNING id", "a")

    assert row is not None
    assert row["id"] == "a"
    assert await names(items) == ["a"]


async def test_a_refused_row_is_a_conflict(items: Database) -> None:
    """A constraint's refusal has one name on both engines."""
    await items.execute(INSERT, "a")

    with pytest.raises(Conflict):
        await items.execute(INSERT, "a")


async def test_many_rows_are_stored_all_or_none(items: Database) -> None:
    """One bad row keeps the others out."""
    with pytest.raises(Conflict):
        await items.execute_many(INSERT, [("a",), ("b",), ("a",)])

    assert await names(items) == []


async def test_a_wrong_statement_is_no_outage(items: Database) -> None:
    """A bug in a statement is not retried as if the database were down."""
    with pytest.raises(Exception, match="nothing") as caught:
        await items.fetch("SELECT nothing FROM item")

    assert not isinstance(caught.value, StoreUnavailable | Conflict)


async def test_a_transaction_that_raises_leaves_nothing(items: Database) -> None:
    """What a block wrote before it raised is undone."""

    async def work() -> None:
        async with items.transaction() as tx:
            await tx.execute(INSERT, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()

    assert await names(items) == []


async def test_a_timeout_of_the_body_stays_a_timeout(items: Database) -> None:
    """A deadline that passed in the block is the caller's; it does not look like an outage."""
    with pytest.raises(TimeoutError):
        async with items.transaction():
            raise TimeoutError("mine")


async def test_a_failed_statement_dooms_its_transaction(items: Database) -> None:
    """On both engines a transaction whose statement failed stores nothing, even if the block went on."""

    async def work() -> None:
        async with items.transaction() as tx:
            await tx.execute(INSERT, "a")
            with pytest.raises(Conflict):
                await tx.execute(INSERT, "a")

    with pytest.raises(Conflict, match="none of it"):
        await work()

    assert await names(items) == []


async def test_a_transaction_inside_one_joins_it(items: Database) -> None:
    """A function that asks for a transaction gets the one it is in."""

    async def work() -> None:
        async with items.transaction() as outer:
            async with outer.transaction() as inner:
                await inner.execute(INSERT, "a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()

    assert await names(items) == []


async def test_an_ended_transaction_takes_no_more(items: Database) -> None:
    """A transaction kept beyond its block does not write by accident."""
    async with items.transaction() as tx:
        await tx.execute(INSERT, "a")

    with pytest.raises(RuntimeError, match="ended"):
        await tx.execute(INSERT, "b")


async def test_reads_go_on_beside_an_open_transaction(items: Database) -> None:
    """A reader neither waits for a writer nor sees what is not committed."""
    async with items.transaction() as tx:
        await tx.execute(INSERT, "a")
        async with asyncio.TaskGroup() as group:
            reads = [group.create_task(names(items)) for _ in range(3)]

    assert [read.result() for read in reads] == [[], [], []]
    assert await names(items) == ["a"]


async def test_a_snapshot_stays_at_its_moment(items: Database) -> None:
    """What is written after a snapshot's first read is not seen in it, and waits for nothing."""
    await items.execute(INSERT, "a")
    async with items.snapshot() as view:
        assert len(await view.fetch(NAMES)) == 1
        await items.execute(INSERT, "b")
        seen = await view.fetch(NAMES)

    assert [row["id"] for row in seen] == ["a"]
    assert await names(items) == ["a", "b"]


async def test_a_snapshot_cannot_write(items: Database) -> None:
    """A view of one moment is for reading."""
    with pytest.raises(StoreUnavailable):
        async with items.snapshot() as view:
            await view.execute(INSERT, "a")


async def test_cancelling_a_transaction_undoes_it_and_frees_the_way(items: Database) -> None:
    """A cancelled block leaves nothing behind, and the next one does not wait."""
    wrote = asyncio.Event()

    async def work() -> None:
        async with items.transaction() as tx:
            await tx.execute(INSERT, "half")
            wrote.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(work())
        await wrote.wait()
        task.cancel()

    await items.execute(INSERT, "whole")
    assert await names(items) == ["whole"]


async def test_a_storm_of_cancellations_leaves_no_half(items: Database) -> None:
    """Wherever a cancellation strikes, both rows of a transaction are there or neither is."""
    rng = random.Random(7)

    async def pair(name: str) -> None:
        async with items.transaction() as tx:
            await tx.execute(INSERT, f"a{name}")
            await asyncio.sleep(0)
            await tx.execute(INSERT, f"b{name}")

    for turn in range(8):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(pair(f"{turn}-{n}")) for n in range(12)]
            for task in tasks:
                await asyncio.sleep(rng.random() * 0.003)
                if rng.random() < 0.6:
                    task.cancel()
                    task.cancel()

    stored = await names(items)
    assert {name[1:] for name in stored if name[0] == "a"} == {name[1:] for name in stored if name[0] == "b"}
    await items.execute(INSERT, "last")


async def test_a_closed_database_is_unavailable(items: Database) -> None:
    """Whoever comes too late gets the error of an outage; closing twice is harmless."""
    await items.close()
    await items.close()

    with pytest.raises(StoreUnavailable):
        await items.fetch(NAMES)
    with pytest.raises(StoreUnavailable):
        await items.execute(INSERT, "a")


async def test_ping_answers(blank: Database) -> None:
    """A reachable database makes a round trip."""
    await blank.ping()


async def test_an_unreachable_database_is_unavailable(tmp_path: Path) -> None:
    """Opening what is not there says so by the one name for outages."""
    for url in (f"sqlite:{tmp_path}/none/spotd.db", "postgresql://spotd:x@127.0.0.1:1/spotd"):
        with pytest.raises(StoreUnavailable):
            await open_database(url)


class TestSQLite:
    """What only SQLite must be told."""

    @pytest.fixture
    async def sqlite(self, tmp_path: Path) -> AsyncIterator[Database]:
        db = await open_database(f"sqlite:{tmp_path / 'spotd.db'}")
        try:
            await db.execute(TABLE)
            yield db
        finally:
            await db.close()

    async def test_only_its_owner_reads_the_file(self, sqlite: Database, tmp_path: Path) -> None:
        """The database and what stands beside it are closed to other users."""
        names = ("spotd.db", "spotd.db-wal", "spotd.db-shm")

        assert [(tmp_path / name).stat().st_mode & 0o777 for name in names] == [0o600] * 3

    async def test_commits_are_on_the_disk(self, sqlite: Database) -> None:
        """The writer syncs each commit, logs ahead, and checks foreign keys."""
        names = ("synchronous", "journal_mode", "foreign_keys")
        async with sqlite.transaction() as tx:
            rows = [await tx.fetch_one(f"PRAGMA {name}") for name in names]

        assert [row and row[name] for row, name in zip(rows, names, strict=True)] == [2, "wal", 1]

    async def test_a_full_disk_is_an_outage_that_passes(self, sqlite: Database) -> None:
        """What does not fit is refused as a whole; once there is room again, writing goes on."""
        await sqlite.execute(INSERT, "before")
        [row] = await sqlite.fetch("SELECT page_count FROM pragma_page_count")
        await sqlite.fetch(f"PRAGMA max_page_count = {row['page_count'] + 3}")

        with pytest.raises(StoreUnavailable, match="full"):
            await sqlite.execute_many(INSERT, [(f"{n:0200}",) for n in range(2000)])
        assert await names(sqlite) == ["before"]

        await sqlite.fetch("PRAGMA max_page_count = 1073741823")
        await sqlite.execute(INSERT, "after")
        assert await names(sqlite) == ["after", "before"]

    async def test_a_statement_without_end_is_cut(self, sqlite: Database, tmp_path: Path) -> None:
        """A statement past its deadline is interrupted, and the connection serves on."""
        sqlite._reader._start = lambda: None  # type: ignore[attr-defined]
        sqlite._reader._deadline = time.monotonic()  # type: ignore[attr-defined]

        with pytest.raises(StoreUnavailable, match="interrupted"):
            await sqlite.fetch(
                "SELECT count(*) FROM (WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 100000000)"
                " SELECT x FROM n)"
            )

        sqlite._reader._deadline = float("inf")  # type: ignore[attr-defined]
        assert await names(sqlite) == []

"""A backup is one moment of the database; a restore replaces it as a whole, or not at all."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from spotd.errors import Conflict, InvalidInput, NotFound, SchemaTooNew, StateInUse, StoreUnavailable
from spotd.store import accounts, meta
from spotd.store.backup import backup, restore
from spotd.store.db import Database, open_database
from spotd.store.lock import exclusive
from spotd.store.schema import migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the database lies."""
    return tmp_path / "state" / "spotd.db"


@pytest.fixture
def url(path: Path) -> str:
    """The address of the database."""
    path.parent.mkdir()
    return f"sqlite:{path}"


@pytest.fixture
async def db(url: str, now: datetime) -> AsyncIterator[Database]:
    """An open database with one account."""
    db = await open_database(url)
    try:
        await migrate(db, now=now)
        await added(db, "1", now)
        yield db
    finally:
        await db.close()


async def added(db: Database, digit: str, now: datetime) -> None:
    """Add an account."""
    await accounts.create_pending(db, account_id=digit * 12, name="n", external_id=None, now=now)


async def names(url: str) -> tuple[list[str], int]:
    """Return the first digit of each account, and the epoch."""
    db = await open_database(url)
    try:
        return [one.account_id[0] for one in await accounts.all_accounts(db)], await meta.epoch(db)
    finally:
        await db.close()


async def test_a_backup_of_a_running_daemon_can_be_restored(
    db: Database, url: str, tmp_path: Path, now: datetime
) -> None:
    """What was there at the backup is there after the restore, in an epoch of its own; what came later is not."""
    target = tmp_path / "backup.db"
    made = await backup(url, target)
    await added(db, "2", now)
    await db.close()

    restored = await restore(url, target, now=now)

    assert (made.schema_version, made.epoch, made.size) == (1, 0, target.stat().st_size)
    assert restored.epoch == 1
    assert await names(url) == (["1"], 1)
    assert sorted(one.name for one in await asyncio.to_thread(_listed, tmp_path / "state")) == [
        "spotd.db",
        "spotd.db.lock",
    ]


async def test_a_backup_is_one_file_of_its_owner(db: Database, url: str, tmp_path: Path) -> None:
    """Nobody else can read it, nothing lies beside it, and it opens without the daemon's files."""
    target = tmp_path / "backup.db"
    await backup(url, target)

    assert target.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in await asyncio.to_thread(_listed, tmp_path)] == ["backup.db", "state"]


async def test_a_backup_while_writing_is_whole(db: Database, url: str, tmp_path: Path, now: datetime) -> None:
    """Transactions that go on meanwhile are in the copy as a whole or not at all, and none of them fails."""
    target = tmp_path / "backup.db"

    async def write() -> None:
        for n in range(30):
            async with db.transaction() as tx:
                await meta.put(tx, f"a{n}", "x" * 5000)
                await meta.put(tx, f"b{n}", "x" * 5000)

    async with asyncio.TaskGroup() as group:
        group.create_task(write())
        group.create_task(backup(url, target))

    with closing(sqlite3.connect(target)) as copy:
        found = {name for (name,) in copy.execute("SELECT name FROM meta")}
    assert {name[1:] for name in found if name[0] == "a"} == {name[1:] for name in found if name[0] == "b"}


async def test_an_existing_file_is_not_overwritten(db: Database, url: str, tmp_path: Path) -> None:
    """A backup never takes the place of another one."""
    (tmp_path / "backup.db").write_bytes(b"precious")

    with pytest.raises(Conflict):
        await backup(url, tmp_path / "backup.db")

    assert (tmp_path / "backup.db").read_bytes() == b"precious"


async def test_a_running_daemon_is_not_restored_under(
    db: Database, url: str, path: Path, now: datetime, tmp_path: Path
) -> None:
    """As long as a daemon holds its state nothing is touched."""
    await backup(url, tmp_path / "backup.db")

    with exclusive(path), pytest.raises(StateInUse):
        await restore(url, tmp_path / "backup.db", now=now)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0 but cut", b"plain text" * 1000])
async def test_what_is_no_backup_is_refused(
    db: Database, url: str, tmp_path: Path, now: datetime, content: bytes
) -> None:
    """A damaged or foreign file leaves the database as it was."""
    await db.close()
    (tmp_path / "bad.db").write_bytes(content)

    with pytest.raises(InvalidInput, match="bad"):
        await restore(url, tmp_path / "bad.db", now=now)

    assert await names(url) == (["1"], 0)


async def test_a_newer_backup_is_refused(db: Database, url: str, tmp_path: Path, now: datetime) -> None:
    """A backup of a newer spotd is not squeezed into an older one."""
    await db.execute("INSERT INTO schema_version VALUES (99, 'later', $1)", now)
    await backup(url, tmp_path / "new.db")
    await db.execute("DELETE FROM schema_version WHERE version = 99")
    await db.close()

    with pytest.raises(SchemaTooNew, match="99"):
        await restore(url, tmp_path / "new.db", now=now)

    assert await names(url) == (["1"], 0)


async def test_missing_files_are_not_found(url: str, tmp_path: Path, now: datetime) -> None:
    """Neither a database nor a backup that is not there is made up."""
    with pytest.raises(NotFound):
        await backup(url, tmp_path / "backup.db")
    with pytest.raises(NotFound):
        await restore(url, tmp_path / "backup.db", now=now)


async def test_a_target_that_cannot_be_written_is_an_outage(db: Database, url: str, tmp_path: Path) -> None:
    """A backup that was not made says so and leaves nothing half made."""
    with pytest.raises(StoreUnavailable):
        await backup(url, tmp_path / "none" / "backup.db")


async def test_postgres_has_its_own_tools(tmp_path: Path, now: datetime) -> None:
    """For Postgres the error names the right programs."""
    with pytest.raises(InvalidInput, match="pg_dump"):
        await backup("postgresql://127.0.0.1/spotd", tmp_path / "b")
    with pytest.raises(InvalidInput, match="pg_restore"):
        await restore("postgresql://127.0.0.1/spotd", tmp_path / "b", now=now)


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())

"""Back up and restore an SQLite database; a Postgres one has its own tools.

A backup holds credentials only as ciphertext: without the master key, which is not in it, it opens nothing.
"""

import asyncio
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from spotd.errors import Conflict, InvalidInput, NotFound, SchemaTooNew, StoreUnavailable
from spotd.store import meta
from spotd.store.db import SQLITE, database_path, open_database
from spotd.store.lock import exclusive
from spotd.store.schema import migrate, migrations

SIDE_FILES = ("-wal", "-shm")


class Backup(Struct, frozen=True, kw_only=True):
    """What a backup file holds; `epoch` counts the restores behind it."""

    path: Path
    size: int
    schema_version: int
    epoch: int


async def backup(url: str, target: Path) -> Backup:
    """Copy a database, at one moment, to a file readable by its owner only, while the daemon runs.

    Raises Conflict if the file exists, InvalidInput for Postgres, NotFound if there is no database, StoreUnavailable
    when it cannot be read or the target not written.
    """
    return await asyncio.to_thread(_backup, _file(url), target)


async def restore(url: str, source: Path, *, now: datetime) -> Backup:
    """Put a backup in the place of a database, whose daemon must not run, and move its epoch on.

    Raises StateInUse while a daemon runs, NotFound or InvalidInput for a source that is no backup, SchemaTooNew for one
    of a newer spotd. Until the last moment the database stays as it was.
    """
    target = _file(url)
    await asyncio.to_thread(target.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
    with exclusive(target):
        draft = target.with_name(target.name + ".restoring")
        await asyncio.to_thread(_draft, source, draft)
        await _continue(draft, now)
        return await asyncio.to_thread(_swap, draft, target)


async def _continue(draft: Path, now: datetime) -> None:
    """Bring a copy to today's schema and into an epoch of its own."""
    db = await open_database(f"{SQLITE}{draft}")
    try:
        await migrate(db, now=now)
        await meta.bump_epoch(db)
    finally:
        await db.close()


def _backup(source: Path, target: Path) -> Backup:
    if not source.exists():
        raise NotFound(f"there is no database at {source}: name the daemon's configuration with --config")
    if target.exists():
        raise Conflict(f"{target} exists: name another file")
    draft = target.with_name(target.name + ".partial")
    try:
        _copy(source, draft)
        result = _described(draft)
        draft.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"no backup was made: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return Backup(path=target, size=target.stat().st_size, schema_version=result[0], epoch=result[1])


def _draft(source: Path, draft: Path) -> None:
    """Copy a backup beside the database, and raise unless it is one that we can go on with."""
    if not source.exists():
        raise NotFound(f"there is no backup at {source}")
    _remove(draft)
    try:
        _copy(source, draft)
        version, _ = _described(draft)
    except sqlite3.Error as error:
        _remove(draft)
        raise InvalidInput(f"{source} is not a whole backup of spotd: {error}") from error
    if version > (latest := max(migration.version for migration in migrations("sqlite"))):
        _remove(draft)
        raise SchemaTooNew(f"the backup has schema {version}, this spotd knows {latest}: restore with the newer spotd")


def _swap(draft: Path, target: Path) -> Backup:
    _settle(draft)
    version, epoch = _described(draft)
    for suffix in SIDE_FILES:
        _side(target, suffix).unlink(missing_ok=True)
    draft.replace(target)
    _sync_folder(target.parent)
    return Backup(path=target, size=target.stat().st_size, schema_version=version, epoch=epoch)


def _copy(source: Path, target: Path) -> None:
    """Copy page by page from one snapshot of the source, and sync the copy."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)
    _settle(target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def _described(path: Path) -> tuple[int, int]:
    """Return the schema version and epoch of a whole database; raises sqlite3.Error for anything else."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        [(verdict,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        [(version,)] = connection.execute("SELECT max(version) FROM schema_version").fetchall()
        epoch = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
        return int(version), int(epoch[0]) if epoch else 0


def _settle(path: Path) -> None:
    """Bring everything into the one file, with nothing beside it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _remove(path: Path) -> None:
    for suffix in ("", *SIDE_FILES):
        _side(path, suffix).unlink(missing_ok=True)


def _side(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file(url: str) -> Path:
    path = database_path(url)
    if path is None:
        raise InvalidInput("the store is Postgres: use pg_dump and pg_restore", field="store.url")
    return path

"""`spotd keys`: the master key that seals credentials. These commands need no running daemon."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spotd.cli.failures import NOT_FOUND, Failure
from spotd.cli.options import config_file
from spotd.config import Config, load

if TYPE_CHECKING:
    from spotd.crypto import KeyRing
    from spotd.store.db import Database

BATCH = 100


@click.group()
def keys() -> None:
    """Make, rotate and verify the master key."""


@keys.command()
@config_file
def generate(config_path: Path | None) -> None:
    """Write a new master key (0400) where `run` looks for it; an existing one is never overwritten (exit 6)."""
    from spotd.crypto import create_key_file

    config = load(config_path, os.environ)
    print(f"wrote {create_key_file(config.state_dir)}; keep a copy apart from the database's backups")


@keys.command()
@config_file
def verify(config_path: Path | None) -> None:
    """Prove that the master key opens what is stored; exit 78 if it does not."""
    config = load(config_path, os.environ)
    number = asyncio.run(_verify(config))
    print(f"the master key opens all {number} sealed values")


@keys.command()
@config_file
def rotate(config_path: Path | None) -> None:
    """Seal everything anew under a new key and drop the old one; the daemon must be stopped (exit 6).

    A rotation that was cut short goes on where it was when this is run again.
    """
    config = load(config_path, os.environ)
    with _stopped(config):
        number = asyncio.run(_rotate(config))
    print(f"sealed {number} values under a new key")


@contextmanager
def _stopped(config: Config) -> Iterator[None]:
    """Keep a daemon on SQLite from running meanwhile; with Postgres there is no lock to tell."""
    from spotd.store.db import database_path
    from spotd.store.lock import exclusive

    path = database_path(config.store.url)
    if path is None:
        click.echo("Postgres: stop every daemon first, and give each the new key before it starts again", err=True)
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive(path):
        yield


@asynccontextmanager
async def _database(config: Config) -> AsyncIterator["Database"]:
    """Open a database that holds something; raises Failure where there is none yet, and makes none."""
    from spotd.store.db import database_path, open_database
    from spotd.store.schema import pending

    nothing = Failure(
        "there is no database yet, so nothing is sealed", fix="start the daemon: `spotd run`", code=NOT_FOUND
    )
    path = database_path(config.store.url)
    if path is not None and not path.exists():
        raise nothing
    db = await open_database(config.store.url)
    try:
        if any(migration.version == 1 for migration in await pending(db)):
            raise nothing
        yield db
    finally:
        await db.close()


async def _verify(config: Config) -> int:
    from spotd.crypto import locate
    from spotd.errors import WrongKey
    from spotd.store import meta

    found = locate(config.state_dir, os.environ)
    if found is None:
        raise WrongKey(f"there is no master key for {config.state_dir}: `spotd keys generate` makes one")
    async with _database(config) as db:
        canary = await meta.get(db, "canary")
        if canary is not None:
            found.ring.check_canary(canary)
        return await _each_secret(db, found.ring, reseal=False)


async def _rotate(config: Config) -> int:
    """Add a key, seal everything under it, then drop the others: at no moment is anything without its key."""
    from spotd.crypto import FILE, locate, replace_key_file
    from spotd.errors import WrongKey
    from spotd.store import meta

    file = config.state_dir / FILE
    found = locate(config.state_dir, os.environ)
    if found is None or found.source != str(file):
        where = found.source if found else "nowhere"
        raise WrongKey(f"the master key is in {where}; only {file} can be rotated, as it must be written anew")
    ring = found.ring
    async with _database(config) as db:
        if len(ring.key_ids) == 1:
            ring = ring.rotated()
            replace_key_file(file, ring)
        number = await _each_secret(db, ring, reseal=True)
        await meta.put(db, "canary", ring.canary())
    replace_key_file(file, ring.without_old())
    return number


async def _each_secret(db: "Database", ring: "KeyRing", *, reseal: bool) -> int:
    """Open every sealed value, and seal it under the newest key if asked to; return how many there are."""
    from spotd.store import accounts

    number, last = 0, None
    while batch := await accounts.secrets_after(db, last, limit=BATCH):
        for secret in batch:
            context = f"accounts/{secret.id}/{secret.field}"
            if reseal:
                await accounts.reseal(db, secret, ring.reseal(secret.ciphertext, context=context))
            else:
                ring.open(secret.ciphertext, context=context)
        number, last = number + len(batch), batch[-1]
    return number

"""`migrate`, `backup`, `restore`: the database itself. These commands need no running daemon."""

import asyncio
import os
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click

from spotd.cli.failures import FAILED
from spotd.cli.options import config_file, output_format
from spotd.cli.output import show_record
from spotd.config import Config, load


@click.command()
@config_file
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if there is something to apply.")
def migrate(config_path: Path | None, check: bool) -> int:
    """Bring the database to this version's schema; the daemon must be stopped (exit 6). A start does the same."""
    config = load(config_path, os.environ)
    names = asyncio.run(_migrate(config, check=check))
    for name in names:
        print(f"{'to apply' if check else 'applied'}: {name}")
    if not names:
        print("the schema is up to date")
    return FAILED if check and names else 0


@click.command()
@config_file
@output_format
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False))
def backup(config_path: Path | None, form: str | None, target: Path) -> None:
    """Copy the SQLite database to TARGET, at one moment, while the daemon runs. The master key is not in it."""
    from spotd.store.backup import backup as make_backup

    made = asyncio.run(make_backup(load(config_path, os.environ).store.url, target))
    show_record(
        {"path": str(made.path), "size": made.size, "schema_version": made.schema_version, "epoch": made.epoch}, form
    )


@click.command()
@config_file
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
def restore(config_path: Path | None, source: Path) -> None:
    """Put the backup SOURCE in the database's place; the daemon must be stopped (exit 6)."""
    from spotd.store.backup import restore as put_back

    restored = asyncio.run(put_back(load(config_path, os.environ).store.url, source, now=datetime.now(UTC)))
    print(f"restored {restored.path} (schema {restored.schema_version}, epoch {restored.epoch})")


async def _migrate(config: Config, *, check: bool) -> list[str]:
    from spotd.store.db import database_path, open_database
    from spotd.store.lock import exclusive
    from spotd.store.schema import migrate as apply
    from spotd.store.schema import pending

    path = database_path(config.store.url)
    if path is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with nullcontext() if path is None or check else exclusive(path):
        db = await open_database(config.store.url)
        try:
            found = await pending(db) if check else await apply(db, now=datetime.now(UTC))
        finally:
            await db.close()
    return [f"{migration.version:04d} {migration.name}" for migration in found]

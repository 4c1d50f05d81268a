"""`spotd doctor`: look for trouble on this machine, collect a bundle for support, or read recorded AWS answers."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from spotd.cli.client import find_client
from spotd.cli.events import read_file
from spotd.cli.failures import FAILED, Failure
from spotd.cli.options import config_file, output_format
from spotd.cli.output import Column, show_listing
from spotd.config import Config, load
from spotd.errors import SpotdError

AWS_PATIENCE = 20.0
CHECKS: list[Column] = [("check", "check"), ("result", "result"), ("detail", "detail")]
PARSED: list[Column] = [
    ("file", "file"),
    ("operation", "operation"),
    ("rows", "rows"),
    ("understood", "understood", lambda rows: str(len(rows))),
    ("refused", "refused", lambda refused: "; ".join(f"{each['pointer']}: {each['detail']}" for each in refused)),
]


class Check(NamedTuple):
    """What one look found: `ok`, `warning` or `failed`, and what to know about it."""

    check: str
    result: str
    detail: str


@click.group(invoke_without_command=True)
@click.pass_context
@config_file
@output_format
@click.option("--bundle", type=click.Path(path_type=Path), help="Also write what support needs to know, redacted.")
def doctor(ctx: click.Context, config_path: Path | None, form: str | None, bundle: Path | None) -> int:
    """Look for trouble: configuration, key, database, AWS identity, daemon; exit 1 if anything failed."""
    if ctx.invoked_subcommand is not None:
        return 0
    config = load(config_path, os.environ)
    checks = [_guarded(name, look, config) for name, look in LOOKS.items()]
    items = [check._asdict() for check in checks]
    show_listing({"items": items, "next_cursor": None}, CHECKS, form)
    if bundle is not None:
        from spotd.cli.bundle import write_bundle

        write_bundle(bundle, config, items, find_client(str(config_path) if config_path else None))
        click.echo(f"wrote {bundle}", err=True)
    return FAILED if any(check.result == "failed" for check in checks) else 0


@doctor.command("parse")
@output_format
@click.argument("operation")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def parse(operation: str, files: tuple[Path, ...], form: str | None) -> None:
    """Read recorded answers of an AWS OPERATION as the daemon would; needs no daemon."""
    import msgspec

    from spotd.aws.recorded import parse_recorded

    reports = [(file, parse_recorded(operation, read_file(file))) for file in files]
    items = [{"file": str(file), **msgspec.to_builtins(report)} for file, report in reports]
    show_listing({"items": items, "next_cursor": None}, PARSED, form)


def _guarded(name: str, look: Callable[[Config], Check], config: Config) -> Check:
    try:
        return look(config)
    except Failure as failure:
        return Check(name, "failed", f"{failure.what}: {failure.why}" if failure.why else failure.what)
    except (SpotdError, OSError) as error:
        return Check(name, "failed", str(error) or type(error).__name__)


def _state_directory(config: Config) -> Check:
    path = config.state_dir
    if not path.is_dir():
        return Check("state directory", "warning", f"{path} does not exist yet; the first start makes it")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Check("state directory", "warning", f"{path} has mode {mode:04o}; chmod 0700 {path}")
    return Check("state directory", "ok", str(path))


def _master_key(config: Config) -> Check:
    from spotd.crypto import locate

    found = locate(config.state_dir, os.environ)
    if found is None:
        return Check("master key", "warning", "there is none yet; on SQLite the first start makes it")
    if found.exposed:
        return Check("master key", "warning", f"{found.source} shows it to every program of this user; use a file")
    return Check("master key", "ok", f"{found.source}, key {found.ring.newest}")


def _database(config: Config) -> Check:
    from spotd.store.db import database_path

    path = database_path(config.store.url)
    if path is not None and not path.exists():
        return Check("database", "warning", f"{path} does not exist yet; the first start makes it")
    owed = asyncio.run(_owed_migrations(config))
    if owed:
        return Check("database", "warning", f"{owed} migrations to apply; the next start applies them")
    return Check("database", "ok", "reachable, schema up to date")


async def _owed_migrations(config: Config) -> int:
    from spotd.store.db import open_database
    from spotd.store.schema import pending

    db = await open_database(config.store.url)
    try:
        return len(await pending(db))
    finally:
        await db.close()


def _identity(config: Config) -> Check:
    return Check("AWS identity", "ok", asyncio.run(_own_arn(config)))


async def _own_arn(config: Config) -> str:
    """Return the ARN of the daemon's own identity, as AWS tells it."""
    from spotd.aws.session import Aws
    from spotd.clock import SystemClock

    async with asyncio.timeout(AWS_PATIENCE), Aws(config.aws, SystemClock()) as aws:
        reply = await aws.own().call("sts", config.aws.home_region, "GetCallerIdentity")
        return str(reply["Arn"])


def _daemon(config: Config) -> Check:
    from spotd.cli.client import Client
    from spotd.cli.transport import Address

    client = find_client() if os.environ.get("SPOTD_URL") else Client(Address(f"unix:{config.api.socket}"))
    health = client.get("/health")
    ill = [name for name, component in health["components"].items() if component["status"] != "healthy"]
    return Check("daemon", "warning" if ill else "ok", f"{health['status']}" + (f": {', '.join(ill)}" if ill else ""))


LOOKS: dict[str, Callable[[Config], Check]] = {
    "state directory": _state_directory,
    "master key": _master_key,
    "database": _database,
    "AWS identity": _identity,
    "daemon": _daemon,
}

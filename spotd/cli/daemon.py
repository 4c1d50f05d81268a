"""`spotd run`: the daemon in the foreground."""

import os
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spotd.cli.client import Client
from spotd.cli.failures import BAD_CONFIG, FAILED, Failure
from spotd.cli.options import config_file
from spotd.cli.transport import Address

if TYPE_CHECKING:
    from spotd.app import Ready


@click.command()
@config_file
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option's value, such as api.port=0.")
def run(config_path: Path | None, settings: tuple[str, ...]) -> int:
    """Run the daemon until SIGTERM or Ctrl-C; SIGHUP reloads."""
    import asyncio

    from spotd import app
    from spotd.config import load
    from spotd.errors import InvalidInput

    loader = partial(load, config_path, os.environ, dict(map(_pair, settings)))
    config = loader()
    try:
        return asyncio.run(app.run(config, load=loader, on_ready=_announce))
    except InvalidInput as error:
        raise Failure("the daemon cannot start", why=str(error), code=BAD_CONFIG) from error
    except OSError as error:
        raise Failure("the daemon cannot start", why=str(error), code=FAILED) from error


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--set")
    return name.strip(), value.strip()


def _announce(ready: "Ready") -> None:
    print(f"spotd serves {ready.url}; admin token in {ready.token_file}", flush=True)
    threading.Thread(target=_suggest_next, args=(ready.socket,), daemon=True).start()


def _suggest_next(socket: Path | None) -> None:
    """Tell a newcomer the next command; whoever has accounts already knows."""
    if socket is None:
        return
    try:
        accounts = Client(Address(f"unix:{socket}")).get("/accounts", {"limit": 1})["items"]
    except Failure:
        return
    if not accounts:
        print("no AWS account is connected yet; next: spotd accounts add ACCOUNT_ID --name NAME", flush=True)

"""Options that many commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from spotd.cli.client import find_client

Command = Callable[..., Any]

config_file = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="SPOTD_CONFIG",
    help="The configuration file. Default: $SPOTD_CONFIG, else the defaults.",
)
output_format = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    help="How to print. Default: a table on a terminal, tab-separated lines elsewhere.",
)


def client_command(command: Command) -> Command:
    """Give a command its `client` of the running daemon, and the option that says which."""

    @click.option("--config", "config_path", type=click.Path(dir_okay=False), help="The daemon's configuration file.")
    @wraps(command)
    def with_client(config_path: str | None, **arguments: Any) -> Any:
        return command(client=find_client(config_path), **arguments)

    return with_client

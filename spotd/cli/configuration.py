"""`check-config` and `config show`."""

import os
from pathlib import Path

import click

from spotd.cli.options import config_file, output_format
from spotd.cli.output import Column, show_json, show_listing
from spotd.config import Config, flattened, load, load_with_origins


@click.command("check-config")
@config_file
def check_config(config_path: Path | None) -> None:
    """Check a configuration and the files it names; exit 78 and say all that is wrong with it."""
    config = load(config_path, os.environ)
    _check_files(config)
    print(f"{config_path or 'the default configuration'} is valid; state in {config.state_dir}")


@click.group()
def config() -> None:
    """Show the configuration in use."""


@config.command()
@config_file
@output_format
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
def show(config_path: Path | None, form: str | None, origin: bool) -> None:
    """Print every option with its value; passwords are left out."""
    from spotd.log import redact

    loaded = load_with_origins(config_path, os.environ)
    values = {path: redact(value) for path, value in flattened(loaded.config).items()}
    if form == "json" and not origin:
        show_json(values)
        return
    items = [
        {"option": path, "value": value, "origin": loaded.origins.get(path, "default")}
        for path, value in values.items()
    ]
    columns: list[Column] = [("option", "option"), ("value", "value")]
    if origin:
        columns.append(("origin", "origin"))
    show_listing({"items": items, "next_cursor": None}, columns, form)


def _check_files(config: Config) -> None:
    """Read what the daemon would read at its start; raises UnsafeFile, WrongKey and OSError as it would."""
    from spotd.cli.failures import BAD_CONFIG, Failure
    from spotd.crypto import locate, read_secret

    try:
        if config.events.signing_secret_file is not None:
            read_secret(config.events.signing_secret_file)
        locate(config.state_dir, os.environ)
    except OSError as error:
        raise Failure("a file that the configuration names cannot be read", why=str(error), code=BAD_CONFIG) from None

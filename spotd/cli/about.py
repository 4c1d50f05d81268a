"""`openapi`, `completion`, `version`."""

import click

from spotd.cli.client import Client
from spotd.cli.options import client_command, output_format
from spotd.cli.output import show_json, show_record


@click.command()
@client_command
def openapi(client: Client) -> None:
    """Print the API's description (OpenAPI 3.1) as the running daemon serves it."""
    show_json(client.get("/openapi.json"))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the shell's completion script; put it where your shell looks for such scripts."""
    from click.shell_completion import get_completion_class

    from spotd.cli.root import spotd

    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(spotd, {}, "spotd", "_SPOTD_COMPLETE").source())


@click.command()
@output_format
def version(form: str | None) -> None:
    """Print the version of spotd and of the Python it runs on."""
    import platform
    from importlib.metadata import version as version_of

    if form is None:
        print(version_of("spotd"))
    else:
        show_record({"spotd": version_of("spotd"), "python": platform.python_version()}, form)

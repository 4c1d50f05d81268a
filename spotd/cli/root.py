"""The tree of commands. A command's module is loaded only when it is run, so that none pays for another."""

from collections.abc import Sequence
from importlib import import_module

import click

from spotd.cli.failures import BAD_CONFIG, CONFLICT, FAILED, INTERRUPTED, NOT_FOUND, RETRY, USAGE, Failure
from spotd.errors import SpotdError

COMMANDS = {
    "run": ("daemon", "Run the daemon in the foreground."),
    "demo": ("demo", "Try the whole daemon on a simulated AWS; no account needed."),
    "check-config": ("configuration", "Check a configuration and say all that is wrong with it."),
    "config": ("configuration", "Show the configuration in use."),
    "status": ("operate", "Show the daemon in one look."),
    "health": ("operate", "Show every component's health."),
    "reload": ("operate", "Make the daemon read its configuration anew."),
    "stop": ("operate", "Stop the daemon on this machine."),
    "doctor": ("doctor", "Look for trouble, or read recorded AWS answers."),
    "migrate": ("storage", "Bring the database to this version's schema."),
    "backup": ("storage", "Copy the SQLite database while the daemon runs."),
    "restore": ("storage", "Put a backup in the database's place."),
    "keys": ("keys", "Make, rotate and verify the master key."),
    "token": ("tokens", "Create, list and revoke API tokens."),
    "accounts": ("accounts", "Onboard AWS accounts and look after them."),
    "instances": ("market", "List instances."),
    "prices": ("market", "List prices."),
    "events": ("events", "Look at AWS's events, or read some without a daemon."),
    "recommend": ("recommend", "List and explain recommendations and refusals."),
    "openapi": ("about", "Print the API's description."),
    "completion": ("about", "Print the shell's completion script."),
    "version": ("about", "Print the version."),
}
"""Each command's module and what it does, in the order of the help."""

EXIT_OF_ERROR = {
    "bad_config": BAD_CONFIG,
    "wrong_key": BAD_CONFIG,
    "unsafe_file": BAD_CONFIG,
    "schema_too_new": BAD_CONFIG,
    "conflict": CONFLICT,
    "state_in_use": CONFLICT,
    "not_found": NOT_FOUND,
    "invalid_input": USAGE,
}
"""Exit codes by the error's own code."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        """Name the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's own signature
        """Load a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"spotd.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's own signature
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def spotd() -> None:
    """Find EC2 capacity across AWS accounts and move it to Spot without losing service."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit code, after telling on stderr what went wrong."""
    try:
        result = spotd.main(args=list(arguments), prog_name="spotd", standalone_mode=False)
    except (Failure, SpotdError, OSError, click.ClickException, click.Abort, KeyboardInterrupt) as error:
        return _reported(error)
    return result if isinstance(result, int) else 0


def _reported(error: BaseException) -> int:
    match error:
        case Failure():
            code = error.report()
        case SpotdError():
            code = Failure(str(error), code=exit_code(error)).report()
        case click.ClickException():
            error.show()
            code = USAGE
        case BrokenPipeError():
            code = _reader_gone()
        case OSError():
            code = Failure(str(error)).report()
        case _:
            code = INTERRUPTED
    return code


def exit_code(error: SpotdError) -> int:
    """Return the exit code of an error: of its kind, else 75 where trying again may help."""
    return EXIT_OF_ERROR.get(error.code, RETRY if error.retryable else FAILED)


def _reader_gone() -> int:
    """End quietly when the reader of a pipe has seen enough, also when Python flushes at exit."""
    import os
    import sys

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0

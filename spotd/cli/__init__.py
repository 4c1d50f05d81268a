"""The command line: `main` is the `spotd` command.

Almost every command is a client of a running daemon's API and loads nothing but the standard library and click.
"""

import sys

QUICK = {(): None, ("-o", "json"): "json", ("-o", "table"): "table"}
"""The forms of `spotd status` that skip click: loading it takes longer than the rest of the command."""


def main() -> None:
    """Run the command line of this process and exit with its code."""
    if sys.argv[1:2] == ["status"] and tuple(sys.argv[2:]) in QUICK:
        from spotd.cli.status import quick_status

        sys.exit(quick_status(QUICK[tuple(sys.argv[2:])]))
    from spotd.cli.root import run

    sys.exit(run(sys.argv[1:]))

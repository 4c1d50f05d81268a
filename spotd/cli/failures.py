"""How a command fails: what went wrong, why, how to fix it, and the exit code that says which kind it was."""

import sys
from typing import Final

FAILED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3
NOT_AUTHORISED: Final = 4
DEGRADED: Final = 5
CONFLICT: Final = 6
NOT_FOUND: Final = 7
RETRY: Final = 75
BAD_CONFIG: Final = 78
INTERRUPTED: Final = 130


class Failure(Exception):
    """A command could not do what it was asked to."""

    def __init__(self, what: str, *, why: str = "", fix: str = "", code: int = FAILED) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.code = code

    def report(self) -> int:
        """Tell a person on stderr; return the exit code."""
        for label, text in (("error", self.what), ("  why", self.why), ("  fix", self.fix)):
            if text:
                print(f"{label}: {text.replace(chr(10), chr(10) + ' ' * 7)}", file=sys.stderr)
        return self.code

"""One daemon per SQLite file: a lock that the kernel lets go of, however the process ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spotd.errors import StateInUse, StoreUnavailable


@contextmanager
def exclusive(database: Path) -> Iterator[Path]:
    """Hold `<database>.lock` for the block.

    Raises StateInUse naming the process that holds it, StoreUnavailable where no file can be made.

    The file stays when the lock is let go: removing it would let two processes each lock one of the same name.
    """
    path = database.with_name(database.name + ".lock")
    with os.fdopen(_opened(path), "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read().strip() or "unknown"
            raise StateInUse(f"{database} is in use by process {holder}: stop it first (spotd stop)") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield path


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreUnavailable(f"the lock file cannot be opened: {error}") from error

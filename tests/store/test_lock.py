"""One daemon per SQLite file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spotd.errors import StateInUse, StoreUnavailable
from spotd.store.lock import exclusive

HOLD = """
import sys
from pathlib import Path
from spotd.store.lock import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_holder_is_refused_and_told_the_first(tmp_path: Path) -> None:
    """Whoever comes second learns which process is in the way."""
    path = tmp_path / "spotd.db"
    with exclusive(path) as lock:
        assert lock.stat().st_mode & 0o777 == 0o600
        with pytest.raises(StateInUse, match=str(os.getpid())), exclusive(path):
            pass

    with exclusive(path):
        pass


def test_a_killed_holder_leaves_no_lock(tmp_path: Path, repository: Path) -> None:
    """However a daemon ends, the next one can start."""
    path = tmp_path / "spotd.db"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=repository
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StateInUse, match=str(holder.pid)), exclusive(path):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()

    with exclusive(path):
        pass


def test_a_folder_that_is_not_there_is_an_outage(tmp_path: Path) -> None:
    """A lock that cannot be made says why."""
    with pytest.raises(StoreUnavailable, match="none"), exclusive(tmp_path / "none" / "spotd.db"):
        pass

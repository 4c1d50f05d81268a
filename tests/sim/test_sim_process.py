"""The process: how it starts, what it leaves behind, how it ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spotd.sim.process import SimulatedAws, running_simulator

SMALL = ("--instances", "4", "--regions", "us-east-1", "--accounts", "1", "--no-data")


@contextmanager
def started(*options: str, stdin: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "spotd.sim", *SMALL, *options]
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"simulated AWS ready at http://127.0.0.1:")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_asked(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end it cleanly within two seconds, without a word; its state file was its owner's only."""
    file = tmp_path / "state.json"
    with started("--state-file", str(file)) as process:
        state, mode = json.loads(file.read_text()), file.stat().st_mode & 0o777
        asked = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
        took = time.monotonic() - asked
    assert (process.returncode, errors) == (0, b"")
    assert took < 2
    assert {"endpoint", "advisor_url", "queue_urls", "daemon", "accounts"} <= set(state)
    assert (mode, list(tmp_path.iterdir())) == (0o600, [file])


def test_it_ends_with_its_input() -> None:
    """Told to watch its standard input, it ends when that closes: whoever started it is gone."""
    with started("--watch-stdin", stdin=subprocess.PIPE) as process:
        process.communicate(timeout=5)
        assert process.returncode == 0


def test_it_ends_with_its_parent() -> None:
    """Told its parent's process id, it ends when that process has."""
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as parent,
        started("--parent-pid", str(parent.pid)) as process,
    ):
        parent.communicate(timeout=5)
        process.communicate(timeout=5)
        assert process.returncode == 0


def test_the_same_seed_gives_the_same_world(sim: SimulatedAws) -> None:
    """Accounts, keys and roles repeat from run to run, whatever lives in them."""
    with running_simulator(seed=11, instances=6) as again:
        assert (again.accounts, again.daemon) == (sim.accounts, sim.daemon)


def test_something_happens_by_itself_once_somebody_listens() -> None:
    """In the demo an instance is interrupted soon after the queue is first read; the truth log says which."""
    extra = ("--interrupt-after", "0.2", "--interrupt-every", "0", "--rebalance-every", "0.3")
    with running_simulator(instances=30, accounts=1, quiet=False, extra=extra) as sim:
        assert sim.control("truth?kind=event") == []
        _listen(sim.endpoint, sim.queue_url, sim.environment())
        deadline = time.monotonic() + 10
        kinds: set[str] = set()
        while len(kinds) < 2 and time.monotonic() < deadline:
            kinds = {row["event"]["detail-type"] for row in sim.control("truth?kind=event")}
    assert kinds == {"EC2 Spot Instance Interruption Warning", "EC2 Instance Rebalance Recommendation"}


def _listen(endpoint: str, queue_url: str, environment: dict[str, str]) -> None:
    import boto3  # noqa: PLC0415 - only here

    keys = (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    sqs = boto3.Session(*keys, region_name="us-east-1").client("sqs", endpoint_url=endpoint)
    sqs.receive_message(QueueUrl=queue_url)
    sqs.close()

"""What the daemon costs and how fast it is there: real `spotd run` processes on SQLite, AWS faked in another process.

Method: `ready` is from starting the process to the first 200 of `/readyz`, on an empty state directory, so migrations
and the first key are in it. `status` is the wall time of a whole `spotd status` process against that daemon; the floor
is an interpreter that does nothing. `rss` is the largest resident size seen while nothing but the daemon's own loops
run, after every account became active. Each value is the median of its repetitions.
"""

import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
from common import Figure, main, median, undisturbed
from fake_aws import REGIONS
from running import SPOTD, Daemon, fake_aws

ACCOUNTS = 100


def measure(*, quick: bool) -> Iterator[Figure]:
    """Measure the daemon: start to ready, the CLI's status, memory of 100 accounts, the first discovery."""
    with fake_aws(instances=2) as aws:
        ready = undisturbed(lambda: [ready_after(aws) for _ in range(3 if quick else 7)])
        yield Figure(name="start to ready", value=median(ready), unit="s", op="<=", target=1.5)
        with Daemon(aws) as daemon:
            daemon.wait(daemon.is_ready)
            yield from command_line(daemon, repeats=11 if quick else 31)
        with Daemon(aws) as daemon:
            daemon.wait(daemon.is_ready)
            yield from many_accounts(daemon, seconds=10 if quick else 60)
    with fake_aws(instances=6, delay=0.2) as aws, Daemon(aws) as daemon:
        daemon.wait(daemon.is_ready)
        took = connect_to_active(daemon, accounts=1)
        name = "connect to active, 102 instances, 200 ms a call"
        yield Figure(name=name, value=round(took, 2), unit="s", op="<=", target=10)


def ready_after(aws: str) -> float:
    """Return the seconds a daemon with an empty state directory takes to be ready."""
    began = time.perf_counter()
    with Daemon(aws) as daemon:
        daemon.wait(daemon.is_ready)
        return time.perf_counter() - began


def command_line(daemon: Daemon, *, repeats: int) -> Iterator[Figure]:
    """Time `spotd status` and the interpreter alone, taking turns."""
    commands = {"status": [str(SPOTD), "status"], "floor": [sys.executable, "-c", "pass"]}
    took = undisturbed(
        lambda: {
            name: [wall_ms(command, daemon.environment) for _ in range(repeats)] for name, command in commands.items()
        }
    )
    yield Figure(name="spotd status, whole process", value=median(took["status"], 1), unit="ms", op="<=", target=80)
    yield Figure(name="floor: python -c pass", value=median(took["floor"], 1), unit="ms")


def wall_ms(command: list[str], environment: dict[str, str]) -> float:
    """Return the milliseconds a command takes as a whole process; it must succeed (5 is a degraded daemon)."""
    began = time.perf_counter()
    ended = subprocess.run(command, env=environment, capture_output=True, check=False)
    took = time.perf_counter() - began
    if ended.returncode not in {0, 5}:
        raise ChildProcessError(f"{command} ended with {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    return took * 1000


def many_accounts(daemon: Daemon, *, seconds: float) -> Iterator[Figure]:
    """Onboard 100 accounts, let the daemon idle, and weigh it."""
    took = connect_to_active(daemon, accounts=ACCOUNTS)
    scopes = f"{ACCOUNTS} accounts x {len(REGIONS)} regions"
    idle = list(resident_mb(daemon, seconds))
    yield Figure(name=f"idle rss, {scopes}", value=max(idle), unit="MB", op="<=", target=200)
    yield Figure(name=f"peak memory so far, {scopes}", value=daemon.peak_mb(), unit="MB")
    yield Figure(name=f"connect to active, {scopes}", value=round(took, 1), unit="s")


def connect_to_active(daemon: Daemon, *, accounts: int) -> float:
    """Connect accounts as a user would and return the seconds until all of them are active."""
    began = time.perf_counter()
    for number in range(accounts):
        daemon.connect(f"{100_000_000_000 + number}")
    daemon.wait(lambda: daemon.active() == accounts)
    return time.perf_counter() - began


def resident_mb(daemon: Daemon, seconds: float) -> Iterator[float]:
    """Yield the daemon's resident size twice a second."""
    process = psutil.Process(daemon.pid)
    for _ in range(int(seconds * 2)):
        time.sleep(0.5)
        yield round(process.memory_info().rss / 2**20, 1)


if __name__ == "__main__":
    sys.exit(main("daemon", measure))

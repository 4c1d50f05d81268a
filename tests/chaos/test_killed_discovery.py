import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.chaos.daemons import Daemon, FakeAws
from tests.servers import until

CYCLES = int(os.environ.get("SPOTD_CHAOS_CYCLES", "20"))
SEED = os.environ.get("SPOTD_CHAOS_SEED", "1")
ACCOUNT = "123456789012"
LONGEST = 3.0
"""Seconds within which a kill falls: a first discovery against this AWS takes about two thirds of it."""

pytestmark = [pytest.mark.second_stage, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def aws() -> Iterator[FakeAws]:
    server = FakeAws(instances=30, delay=0.1)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(params=range(CYCLES))
def cycle(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def daemon(request: pytest.FixtureRequest, aws: FakeAws, cycle: int) -> Iterator[Daemon]:
    """A daemon that was never started; every other cycle's is on Postgres."""
    server = Daemon(aws, request.getfixturevalue("fresh_postgres_url") if cycle % 2 else None)
    try:
        yield server
    finally:
        server.close()


def test_a_discovery_killed_at_any_moment_is_finished_after_the_restart(
    daemon: Daemon, aws: FakeAws, cycle: int
) -> None:
    """After `kill -9`, once or more, the account still ends active, with every instance exactly once."""
    rng = random.Random(f"{SEED}/{cycle}")
    daemon.start()
    daemon.connect(ACCOUNT)

    for _ in range(rng.randint(1, 3)):
        time.sleep(rng.uniform(0, LONGEST))  # the moment itself is what is tested
        daemon.stop(signal.SIGKILL)
        daemon.start()
    until(lambda: daemon.items("/accounts")[0]["status"] == "active", "the account does not become active")

    seen = Counter(instance["instance_id"] for instance in daemon.items("/instances"))
    assert (len(seen), set(seen.values())) == (aws.expected, {1})
    assert [account["account_id"] for account in daemon.items("/accounts")] == [ACCOUNT]

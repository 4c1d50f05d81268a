"""Everything that runs side by side shares one pool of connections, and health never waits for any of it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from spotd.sim.process import SimulatedAws
from tests.daemon.conftest import Start
from tests.daemon.running import quickest, quoted
from tests.servers import PostgresServer, ValkeyServer, until

AddFault = Callable[..., object]
POOL = 3
CHECKS_UNTIL_STALE = 4
"""Checks of a hung store that last longer than a token's last lookup counts as fresh, so that it is paid for again."""
READS = ("overview", "instances?limit=1000", "accounts", "prices", "recommendations", "health/history", "/metrics")


class Watch:
    """Counts the connections to one database until told to stop."""

    def __init__(self, server: PostgresServer, database: str) -> None:
        self.counts: list[int] = []
        self._server = server
        self._question = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
        self._stop = threading.Event()

    def run(self) -> None:
        """Ask again and again."""
        while not self._stop.is_set():
            self.counts.append(int(self._server.sql(self._question)))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count while the block runs."""
        with ThreadPoolExecutor(1) as pool:
            counted = pool.submit(self.run)
            try:
                yield
            finally:
                self._stop.set()
                counted.result()


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_connections_never_exceed_the_pool(
    start: Start, simulator: SimulatedAws, postgres_server: PostgresServer, store_url: str
) -> None:
    """Two discoveries, health, events, the optimizer and parallel reads all go through `store.pool_size` connections."""
    watch = Watch(postgres_server, store_url.rpartition("/")[2])
    with watch.watching():
        daemon = start({"store.pool_size": str(POOL), "health.interval": "1", "optimizer.interval": "1"})
        daemon.connect_keys(simulator.accounts[0])
        daemon.connect_role(simulator, simulator.accounts[1])
        with ThreadPoolExecutor(8) as clients:
            reads = [clients.submit(daemon.get, path) for path in READS * 6]
            posts = [clients.submit(daemon.post, "events", {"id": f"e{number}"}) for number in range(20)]
            daemon.until_active(*simulator.accounts)
            assert {read.result().status for read in reads} == {200}
            assert {post.result().status for post in posts} == {202}

    assert len(watch.counts) > 10
    assert 0 < max(watch.counts) <= POOL


Hang = Callable[[], object]


@pytest.fixture
def hang(request: pytest.FixtureRequest, faults: AddFault, valkey_server: ValkeyServer) -> tuple[str, Hang]:
    """A dependency by its component's name, and what makes it hang."""
    if request.param == "aws":
        return "aws", lambda: faults(service="ec2", operation="DescribeRegions", hang=True)
    if request.param == "redis":
        return "redis", valkey_server.pause
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return "database", server.pause


@pytest.mark.parametrize(
    ("store_url", "hang"),
    [("sqlite", "aws"), ("sqlite", "redis"), ("postgres", "aws"), ("postgres", "redis"), ("postgres", "database")],
    indirect=True,
)
def test_all_checks_take_less_than_a_second_whatever_hangs(
    start: Start, simulator: SimulatedAws, hang: tuple[str, Hang], faults: AddFault, valkey_server: ValkeyServer
) -> None:
    """During a discovery, with one dependency hung, every component is judged within a second."""
    component, freeze = hang
    daemon = start({"events.redis_url": quoted(valkey_server.url), "health.interval": "5"})
    daemon.connect_keys(simulator.accounts[0])
    daemon.until_active(simulator.accounts[0])
    faults(operation="DescribeInstances", account_id=simulator.accounts[1].account_id, latency=25)
    daemon.connect_role(simulator, simulator.accounts[1])
    assert daemon.statuses()[simulator.accounts[1].account_id] == "connected"

    freeze()
    until(lambda: daemon.check()[component]["status"] == "critical", f"{component} is not seen to hang")
    for _ in range(CHECKS_UNTIL_STALE):
        daemon.check()

    assert quickest(daemon.check) < 1
    if component != "database":  # hung, it cannot be asked
        assert daemon.statuses()[simulator.accounts[1].account_id] == "connected"

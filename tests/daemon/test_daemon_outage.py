"""A database that goes away, or a disk without room, under a running daemon."""

import resource
from uuid import uuid4

import pytest

from spotd.sim.process import SimulatedAws
from tests.daemon.conftest import Start
from tests.daemon.running import Spotd
from tests.servers import PostgresServer, until

QUICK = {"health.interval": "1"}
KEPT, REFUSED = "i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb"


def notice(name: str) -> dict[str, object]:
    """Return an event that no other has the id of."""
    return {
        "version": "0", "id": str(uuid4()), "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2",
        "account": "123456789012", "time": "2026-11-23T21:00:00Z", "region": "us-east-1",
        "resources": [], "detail": {"instance-id": name, "state": "stopped"},
    }  # fmt: skip


def taken(daemon: Spotd, event: dict[str, object]) -> int:
    return daemon.post("/events", event).status


def stored(daemon: Spotd) -> set[str]:
    return {name for event in daemon.items("events") for name in event["instance_ids"]}


@pytest.mark.parametrize("store_url", ["postgres"], indirect=True)
def test_a_database_that_goes_and_comes_back_loses_nothing(
    start: Start, simulator: SimulatedAws, postgres_server: PostgresServer
) -> None:
    """The daemon says so, takes no event it cannot keep, and finishes the discovery it was in the middle of."""
    daemon = start(QUICK)
    pid, before, after = daemon.pid, notice(KEPT), notice(REFUSED)
    assert taken(daemon, before) == 202
    simulator.control("latency", {"seconds": 0.3})
    daemon.connect_keys(simulator.accounts[0])
    assert set(daemon.statuses().values()) == {"connected"}

    postgres_server.stop()
    until(lambda: daemon.get("/readyz").status == 503, "it still counts as ready")
    assert daemon.get("health").body["components"]["database"]["status"] == "critical"
    refused = daemon.post("/events", after)
    assert (refused.status, refused.body["retryable"]) == (503, True)
    assert daemon.get("/livez").status == 200

    postgres_server.start()
    until(daemon.answers, "it does not become ready")
    assert taken(daemon, after) == 202
    daemon.until_active(simulator.accounts[0])
    assert daemon.pid == pid
    assert stored(daemon) >= {KEPT, REFUSED}


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_a_full_disk_loses_nothing(start: Start, simulator: SimulatedAws) -> None:
    """While no file can grow the daemon lives and refuses what it cannot keep; with room again it goes on."""
    daemon = start(QUICK)
    before, after = notice(KEPT), notice(REFUSED)
    assert taken(daemon, before) == 202
    simulator.control("latency", {"seconds": 0.3})
    daemon.connect_keys(simulator.accounts[0])
    assert set(daemon.statuses().values()) == {"connected"}

    room = resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, (0, room[1]))
    refused = daemon.post("/events", after)
    assert (refused.status, refused.body["retryable"]) == (503, True)
    simulator.control("latency", {"seconds": 0})
    until(lambda: "cannot be used now" in daemon.log, "nobody met the full disk")
    assert daemon.get("/livez").status == 200
    assert KEPT in stored(daemon)

    resource.prlimit(daemon.pid, resource.RLIMIT_FSIZE, room)
    assert taken(daemon, after) == 202
    daemon.until_active(simulator.accounts[0])
    until(daemon.answers, "it does not become ready")
    assert stored(daemon) >= {KEPT, REFUSED}

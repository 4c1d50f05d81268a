import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotd.loops.watchdog import Notifier, Watchdog


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "notify"))
        server.settimeout(0)
        yield server


def notifier_of(manager: socket.socket) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"})


async def test_the_watchdog_is_fed_while_every_loop_is_on_time(manager: socket.socket) -> None:
    """With no loop overdue the service manager hears WATCHDOG=1."""
    notifier = notifier_of(manager)

    assert await Watchdog(notifier, list).tick()
    assert manager.recv(100) == b"WATCHDOG=1"
    assert notifier.watchdog_seconds == 30


async def test_the_watchdog_starves_while_a_loop_is_stuck(manager: socket.socket) -> None:
    """One overdue loop keeps the datagram back, so that systemd restarts the daemon."""
    assert not await Watchdog(notifier_of(manager), lambda: ["health"]).tick()
    with pytest.raises(BlockingIOError):
        manager.recv(100)


def test_several_fields_travel_in_one_datagram(manager: socket.socket) -> None:
    """Ready and status are told together."""
    assert notifier_of(manager).send(READY=1, STATUS="serving")
    assert manager.recv(100) == b"READY=1\nSTATUS=serving"


def test_an_abstract_socket_address_is_understood(tmp_path: Path) -> None:
    """Systemd may give an abstract address, written with an @."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind("\0" + tmp_path.name)
        assert Notifier({"NOTIFY_SOCKET": "@" + tmp_path.name}).send(READY=1)
        assert server.recv(100) == b"READY=1"


def test_without_a_service_manager_nothing_is_sent() -> None:
    """In a terminal the notifier is silent."""
    assert not Notifier({}).send(READY=1)


def test_a_manager_that_went_away_is_not_fatal(tmp_path: Path) -> None:
    """A dead socket is logged, not raised."""
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send(READY=1)

"""The real daemon in a process of its own, against the simulated AWS, on each engine."""

from collections.abc import Callable, Iterator

import pytest

from spotd.sim.process import SimulatedAws
from tests.daemon.running import Settings, Spotd

Start = Callable[..., Spotd]


@pytest.fixture
def start(simulator: SimulatedAws, store_url: str) -> Iterator[Start]:
    """Start a daemon with these options; each that was started ends with the test."""
    started: list[Spotd] = []

    def build(settings: Settings | None = None) -> Spotd:
        daemon = Spotd(simulator, store_url, settings or {})
        started.append(daemon)
        daemon.start()
        return daemon

    yield build
    for daemon in started:
        daemon.close()
    for account in simulator.accounts:
        simulator.control("trust", {"role_arn": account.role_arn, "external_id": account.external_id})
    simulator.control("clock", {"offset_seconds": 0})
    simulator.control("latency", {"seconds": 0})


@pytest.fixture
def running(start: Start) -> Spotd:
    """A running daemon as its defaults make it."""
    return start()

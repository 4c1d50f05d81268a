"""One simulator for all tests of it, put back in order after each, and clients that reach it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aioboto3
import pytest
from botocore.config import Config

from spotd.sim.process import SimulatedAccount, SimulatedAws, running_simulator

Clients = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture(scope="session")
def _running() -> Iterator[SimulatedAws]:
    with running_simulator(seed=11, instances=80, regions=("us-east-1", "eu-west-1"), extra=("--speed", "400")) as sim:
        yield sim


@pytest.fixture
def sim(_running: SimulatedAws) -> Iterator[SimulatedAws]:
    """A running simulator in which nothing happens by itself; two minutes of notice pass in 0.3 s."""
    yield _running
    _running.control("faults", {"clear": True})
    _running.control("latency", {"seconds": 0})
    _running.control("clock", {"offset_seconds": 0})
    _running.control("advisor", {"reset": True})


@pytest.fixture
def account(sim: SimulatedAws) -> SimulatedAccount:
    """The first simulated account."""
    return sim.accounts[0]


@pytest.fixture(scope="session")
def aws_session() -> aioboto3.Session:
    """One aioboto3 session for all clients."""
    return aioboto3.Session()


@pytest.fixture
def client(sim: SimulatedAws, aws_session: aioboto3.Session) -> Clients:
    """`client("ec2", account)`: an aioboto3 client that never retries; `token` and `region` if wished."""

    def make(
        service: str,
        who: SimulatedAccount | dict[str, str],
        region: str = "us-east-1",
        **options: Any,
    ) -> AbstractAsyncContextManager[Any]:
        keys = who if isinstance(who, dict) else _keys(who)
        config = Config(retries={"total_max_attempts": 1}, read_timeout=10, **options)
        made: AbstractAsyncContextManager[Any] = aws_session.client(
            service, region_name=region, endpoint_url=sim.endpoint, config=config, **keys
        )
        return made

    return make


def _keys(who: SimulatedAccount) -> dict[str, str]:
    return {"aws_access_key_id": who.access_key_id, "aws_secret_access_key": who.secret_access_key}

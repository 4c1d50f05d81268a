"""Fixtures for every test: real data, real servers."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from spotd import crypto
from spotd.app import Daemon, built
from spotd.config import Config, load
from spotd.model.account import AccessKeys, Account
from spotd.sim.process import SimulatedAws, running_simulator
from tests.servers import PostgresServer, ValkeyServer

REPOSITORY = Path(__file__).parent.parent
REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-1", "us-west-2")


def pytest_configure() -> None:
    """Say that no event loop is set, lest looptime, looking for one before each test, creates one and leaks it."""
    asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data that `SPOTD_DATA` names; without it the test is skipped, or fails where CI requires it."""
    folder = Path(os.environ.get("SPOTD_DATA") or REPOSITORY.parent / "shared" / "data")
    if folder.is_dir():
        return folder
    reason = f"no real data at {folder}: set SPOTD_DATA"
    if os.environ.get("SPOTD_REQUIRE_DATA") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def _postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def postgres_server(_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A running Postgres that the test may stop, restart and pause; it serves again before the next test."""
    _postgres.ensure()
    yield _postgres
    _postgres.ensure()


@pytest.fixture
def fresh_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty database, dropped after the test."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.ensure()
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def _valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def valkey_server(_valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    """A running Valkey that the test may stop, restart and pause; it serves again before the next test."""
    _valkey.ensure()
    yield _valkey
    _valkey.ensure()


@pytest.fixture(scope="session")
def simulator() -> Iterator[SimulatedAws]:
    """A simulated AWS with two accounts in four regions, shared by the tests; faults a test adds it also lifts."""
    with running_simulator(seed=11, instances=60, regions=REGIONS, enabled=()) as running:
        yield running


@pytest.fixture
def faults(simulator: SimulatedAws) -> Iterator[Callable[..., object]]:
    """Add a fault to the simulated AWS until the test ends; see `spotd.sim.faults.Fault` for its fields."""
    yield lambda **fault: simulator.control("faults", fault)
    simulator.control("faults", {"clear": True})


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spotd.db'}"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


@pytest.fixture
def settings(simulator: SimulatedAws, store_url: str, tmp_path: Path) -> Config:
    """A configuration for the simulated AWS, on each engine."""
    environ = {
        "SPOTD__STATE_DIR": str(tmp_path / "state"),
        "SPOTD__STORE__URL": store_url,
        "SPOTD__AWS__ENDPOINT_URL": simulator.endpoint,
        "SPOTD__PRICES__ADVISOR_URL": simulator.advisor_url,
    }
    crypto.create_key_file(tmp_path / "state")
    return load(None, environ)


@pytest.fixture
async def daemon(settings: Config) -> AsyncIterator[Daemon]:
    """Every part of a daemon; nothing runs by itself."""
    async with built(settings) as parts:
        yield parts


@pytest.fixture
async def connected(daemon: Daemon, simulator: SimulatedAws) -> Account:
    """An account whose keys are proven and whose first discovery is owed."""
    owner = simulator.accounts[0]
    keys = AccessKeys(access_key_id=owner.access_key_id, secret_access_key=owner.secret_access_key)
    return await daemon.onboarding.connect_keys(account_id=owner.account_id, name=owner.name, keys=keys, regions=())

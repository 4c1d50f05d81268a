"""Fixtures for every test: real data, real servers."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import PostgresServer, ValkeyServer

REPOSITORY = Path(__file__).parent.parent


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

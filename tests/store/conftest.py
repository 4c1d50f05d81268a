"""Every test of the store runs on both engines."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spotd.model.account import Account
from spotd.store import accounts
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate
from tests.servers import PostgresServer

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    """The moment at which the tests' facts are stored."""
    return NOW


@pytest.fixture(scope="session")
def _store_database(_postgres: PostgresServer) -> str:
    """One Postgres database for all tests of the store: making one for each takes longer than the tests."""
    return _postgres.create_database()


@pytest.fixture
def postgres_url(_store_database: str, postgres_server: PostgresServer) -> str:
    """The address of an empty Postgres database."""
    postgres_server.sql("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public", _store_database)
    return postgres_server.url(_store_database)


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Which engine the test runs on."""
    return str(request.param)


@pytest.fixture
def url(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a blank database."""
    return f"sqlite:{tmp_path / 'spotd.db'}" if engine == "sqlite" else str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def blank(url: str) -> AsyncIterator[Database]:
    """A database without tables."""
    db = await open_database(url, pool_size=4)
    try:
        yield db
    finally:
        await db.close()


@pytest.fixture
async def db(blank: Database) -> Database:
    """A database with the newest schema."""
    await migrate(blank, now=NOW)
    return blank


@pytest.fixture
async def account(db: Database) -> Account:
    """A pending account."""
    return await accounts.create_pending(
        db, account_id="123456789012", name="production", external_id="x" * 43, now=NOW
    )

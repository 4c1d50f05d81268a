"""Every test of the store runs on both engines."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spotd.model.account import Account
from spotd.store import accounts
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    """The moment at which the tests' facts are stored."""
    return NOW


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a blank database."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spotd.db'}"
    return str(request.getfixturevalue("fresh_postgres_url"))


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

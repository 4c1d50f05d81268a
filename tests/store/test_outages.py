"""A Postgres that goes away and comes back: callers get one error, lose nothing that was stored, and need no restart."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

from spotd.errors import StoreUnavailable
from spotd.store import meta
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate
from tests.servers import PostgresServer


@pytest.fixture
async def db(postgres_url: str, now: datetime) -> AsyncIterator[Database]:
    """A Postgres database with the newest schema, behind two connections."""
    db = await open_database(postgres_url, pool_size=2)
    try:
        await migrate(db, now=now)
        yield db
    finally:
        await db.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_a_restart_is_an_outage_that_passes(
    db: Database, postgres_server: PostgresServer, how: signal.Signals
) -> None:
    """While the server is away every call says so; once it is back the same pool serves on."""
    await meta.put(db, "before", "1")
    await asyncio.to_thread(postgres_server.stop, how)

    for call in (db.ping(), meta.get(db, "before"), meta.put(db, "during", "1"), meta.bump_epoch(db)):
        with pytest.raises(StoreUnavailable):
            await call

    await asyncio.to_thread(postgres_server.start)
    await db.ping()
    assert [await meta.get(db, name) for name in ("before", "during")] == ["1", None]


async def test_a_transaction_cut_by_a_crash_is_undone(db: Database, postgres_server: PostgresServer) -> None:
    """What was written before the server died in the middle is gone, and the block raises."""

    async def work() -> None:
        async with db.transaction() as tx:
            await meta.put(tx, "half", "1")
            await asyncio.to_thread(postgres_server.stop, signal.SIGKILL)
            await meta.put(tx, "other half", "1")

    with pytest.raises(StoreUnavailable):
        await work()

    await asyncio.to_thread(postgres_server.start)
    assert await meta.get(db, "half") is None


async def test_a_hung_server_does_not_hold_its_callers(db: Database, postgres_server: PostgresServer) -> None:
    """A caller's own deadline passes as usual, and the pool serves on when the server wakes."""
    await db.ping()
    postgres_server.pause()
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await db.ping()
    finally:
        postgres_server.resume()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(db.ping())


async def test_connections_never_exceed_the_pool(db: Database, postgres_server: PostgresServer) -> None:
    """However many ask at once, they share the configured number of connections."""
    async with asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(db.fetch("SELECT pg_sleep(0.001)"))

    used = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'spotd'"
    assert int(await asyncio.to_thread(postgres_server.sql, used)) <= 2


async def test_an_error_names_no_password(postgres_server: PostgresServer) -> None:
    """A wrong password is an outage whose message does not repeat it."""
    url = postgres_server.url().replace(postgres_server.password, "not-the-password")

    with pytest.raises(StoreUnavailable) as caught:
        await open_database(url)

    assert "not-the-password" not in str(caught.value)

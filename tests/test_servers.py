"""The servers the tests stand on do what the tests ask of them."""

import signal

import asyncpg
import pytest

from tests.servers import PostgresServer, ValkeyServer


async def test_a_fresh_database_is_empty_and_takes_writes(fresh_postgres_url: str) -> None:
    """Each test gets a database without tables in which it may do everything."""
    connection = await asyncpg.connect(fresh_postgres_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
        await connection.execute("CREATE TABLE t (x integer)")
    finally:
        await connection.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_postgres_comes_back_at_the_same_address(
    postgres_server: PostgresServer, fresh_postgres_url: str, how: signal.Signals
) -> None:
    """A stopped or crashed Postgres refuses connections, and serves the same data at the same address afterwards."""
    database = fresh_postgres_url.rpartition("/")[2]
    postgres_server.sql("CREATE TABLE kept AS SELECT 7 AS x", database)

    postgres_server.stop(how)
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await asyncpg.connect(fresh_postgres_url)
    postgres_server.start()

    assert postgres_server.sql("SELECT x FROM kept", database).strip() == "7"


async def test_a_paused_postgres_hangs_until_resumed(postgres_server: PostgresServer, fresh_postgres_url: str) -> None:
    """A paused Postgres keeps its connections and answers nothing; resumed it answers on them."""
    connection = await asyncpg.connect(fresh_postgres_url)
    postgres_server.pause()
    try:
        with pytest.raises(TimeoutError):
            await connection.fetchval("SELECT 1", timeout=0.1)
    finally:
        postgres_server.resume()
        await connection.close(timeout=5)


def test_valkey_stops_and_comes_back(valkey_server: ValkeyServer) -> None:
    """A stopped Valkey no longer answers; started again it does, at the same address."""
    valkey_server.stop()
    assert not valkey_server.answers()
    valkey_server.start()
    assert valkey_server.answers()

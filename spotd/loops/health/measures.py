"""The measurements that take time: each asks one dependency and may hang, so each runs under a deadline of its own."""

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from spotd.errors import SpotdError
from spotd.store.db import Database


class RedisUnreachable(SpotdError):
    """Redis does not answer."""

    code = "redis_unreachable"
    retryable = True


class Disk(NamedTuple):
    """A file system's room, in bytes."""

    free: int
    total: int

    @property
    def free_share(self) -> float:
        """Free room as a share of all, from 0 to 1."""
        return self.free / self.total if self.total else 0.0


async def round_trip(db: Database) -> float:
    """Return the seconds one round trip to the store takes; raises StoreUnavailable."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await db.ping()
    return loop.time() - began


async def disk_room(folder: Path) -> Disk:
    """Return the room on the file system of a folder, or of its closest parent that exists."""
    usage = await asyncio.to_thread(_usage, folder)
    return Disk(free=usage.free, total=usage.total)


def _usage(folder: Path) -> "shutil._ntuple_diskusage":
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return shutil.disk_usage(existing)


class StreamGauge(Protocol):
    """Tells how much waits in a stream."""

    def depth(self) -> Coroutine[Any, Any, int]:
        """Return the stream's length; raises RedisUnreachable."""
        ...


class RedisStream:
    """A Redis stream's length (XLEN); the connection is made at the first question and kept."""

    def __init__(self, url: str, *, stream: str, timeout: float) -> None:
        # Imported here: Redis is an extra, and a daemon without it must start.
        from redis.asyncio import Redis  # noqa: PLC0415

        self._stream = stream
        self._redis = Redis.from_url(url, socket_connect_timeout=timeout, socket_timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._redis.aclose()

    async def depth(self) -> int:
        """Return the stream's length, 0 for one that does not exist; raises RedisUnreachable."""
        from redis.exceptions import RedisError  # noqa: PLC0415

        try:
            return int(await self._redis.xlen(self._stream))
        except (RedisError, OSError) as error:
            raise RedisUnreachable(f"Redis does not answer: {error}") from error

"""What changed in this process, in order: the log that streams, and loops that wait for each other, read.

Subscribers read one shared ring at their own pace. One too slow for it is told of the gap and goes on from now, so
nobody holds up a publisher and memory stays bounded.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self

from spotd.clock import Clock, SystemClock


class Change(NamedTuple):
    """One change: its place in the log, what it is about, its facts, and when it was published."""

    sequence: int
    topic: str
    facts: Mapping[str, Any]
    at: datetime


class Gap(NamedTuple):
    """Changes this subscriber cannot get any more: those after `after` up to `sequence`. It should read anew."""

    after: int
    sequence: int


class Changes:
    """An in-process log of changes that keeps the last `capacity`; use it from the event loop's thread only.

    `epoch` is another one after each start: a sequence of another epoch means nothing here.
    """

    def __init__(self, capacity: int = 1000, *, clock: Clock | None = None) -> None:
        self.epoch = secrets.token_hex(8)
        self._clock = clock or SystemClock()
        self._ring: deque[Change] = deque(maxlen=capacity)
        self._sequence = 0
        self._closed = False
        self._news = asyncio.Event()

    @property
    def sequence(self) -> int:
        """The newest change's place in the log, 0 before the first."""
        return self._sequence

    def publish(self, topic: str, **facts: Any) -> int:
        """Append a change and return its sequence; never waits."""
        self._sequence += 1
        self._ring.append(Change(self._sequence, topic, facts, self._clock.now()))
        self._announce()
        return self._sequence

    def subscribe(self, after: int | None = None) -> "Subscription":
        """Follow the log from the change after `after`, or from now on."""
        return Subscription(self, self._sequence if after is None else after)

    def close(self) -> None:
        """End every subscription once it has read what is there."""
        self._closed = True
        self._announce()

    def _announce(self) -> None:
        """Wake whoever waits, and let later ones wait for the next news."""
        self._news.set()
        self._news = asyncio.Event()

    def _following(self, after: int) -> Change | Gap | None:
        """Return what a subscriber that has read up to `after` gets next; None where there is nothing yet."""
        if after == self._sequence:
            return None
        oldest = self._sequence - len(self._ring) + 1
        if not oldest - 1 <= after < self._sequence:
            return Gap(after, self._sequence)
        return self._ring[after + 1 - oldest]


class Subscription(AsyncIterator[Change | Gap]):
    """One subscriber's place in the log; ends when it or the log is closed."""

    def __init__(self, changes: Changes, after: int) -> None:
        self._changes = changes
        self._after = after
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change | Gap:
        while not self._closed:
            found = self._changes._following(self._after)  # noqa: SLF001 - the two are one thing
            if found is not None:
                self._after = found.sequence
                return found
            if self._changes._closed:  # noqa: SLF001
                break
            await self._changes._news.wait()  # noqa: SLF001
        raise StopAsyncIteration

    def close(self) -> None:
        """End this subscription, also while it waits."""
        self._closed = True
        self._changes._announce()  # noqa: SLF001

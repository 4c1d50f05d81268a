"""What is due when, each key claimed by one worker at a time."""

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Generic, TypeVar

K = TypeVar("K")


class Schedule(Generic[K]):
    """Keys with due times in loop time (seconds), handed out in the order they fall due.

    A key that is put again keeps the sooner time; one that is put while it is claimed falls due after its release.
    """

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._claimed: dict[K, float | None] = {}
        self._changed = asyncio.Event()
        self._order = count()

    def __contains__(self, key: object) -> bool:
        return key in self._due or key in self._claimed

    def __len__(self) -> int:
        return len(self._due) + len(self._claimed)

    @property
    def claimed(self) -> int:
        """How many keys are being worked on."""
        return len(self._claimed)

    def put(self, key: K, due: float) -> None:
        """Make a key due at this time, or sooner if it already is."""
        if key in self._claimed:
            again = self._claimed[key]
            self._claimed[key] = due if again is None else min(due, again)
        elif due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._changed.set()

    def discard(self, unwanted: Callable[[K], bool]) -> None:
        """Forget the keys this names; a claimed one is finished but not due again."""
        for key in [key for key in self._due if unwanted(key)]:
            del self._due[key]
        for key in [key for key in self._claimed if unwanted(key)]:
            self._claimed[key] = None

    async def claim(self, patience: float) -> K | None:
        """Wait for the next due key, at most `patience` seconds; None if none fell due."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not self._is_ready():
                    await self._next_change()
                _, _, key = heapq.heappop(self._heap)
                del self._due[key]
                self._claimed[key] = None
                return key
        return None

    def release(self, key: K) -> None:
        """Give a claimed key back; it falls due again only if it was put in the meantime."""
        again = self._claimed.pop(key, None)
        if again is not None:
            self.put(key, again)

    def _is_ready(self) -> bool:
        """Whether the first key of the heap is due; drops what was moved or discarded."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return bool(self._heap) and self._heap[0][0] <= asyncio.get_running_loop().time()

    async def _next_change(self) -> None:
        """Return when a key was put, or when the first one falls due."""
        self._changed.clear()
        pause = self._heap[0][0] - asyncio.get_running_loop().time() if self._heap else None
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._changed.wait()

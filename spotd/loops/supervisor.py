"""Run the daemon's loops: the one place that makes tasks, catches `Exception`, and gives up.

A loop is a finite `tick`; the supervisor owns the `while`, the period, the deadline and the back-off. A dependency
that is down is retried for ever; only a bug that repeats ends the process, so that systemd starts it afresh.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog

from spotd.errors import NotFound, SpotdError

log = structlog.get_logger(__name__)

T = TypeVar("T")

DEPENDENCY_DOWN = (SpotdError, OSError, TimeoutError)
"""What a loop meets when the world is broken, not the code: retried for ever."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One named, periodic duty.

    Durations are seconds. `jitter` is a share of the period added at random, so that many loops do not beat together.
    `grace` is how long a running tick may go on after the daemon was told to stop.
    """

    name: str
    tick: Callable[[], Awaitable[object]]
    period: float
    deadline: float
    jitter: float = 0.0
    grace: float = 0.0
    delays: tuple[float, ...] = (1, 2, 5, 10, 30, 60)
    give_up_after: int = 20


@dataclass
class Pulse:
    """What health, `/livez` and the systemd watchdog read about one loop; times are loop time, in seconds."""

    started: float | None = None
    last_ok: float | None = None
    failures: int = 0
    bugs: int = 0
    last_error: str | None = None
    passes: int = 0


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What one of several siblings came to: a value or an error."""

    value: T | None = None
    error: Exception | None = None

    @property
    def ok(self) -> bool:
        """Whether it ended without an error."""
        return self.error is None


@dataclass
class _Kept:
    """A loop with its state: the lock lets `tick_now` and the period share one tick at a time."""

    loop: Loop
    pulse: Pulse = field(default_factory=Pulse)
    wakeup: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    """Keeps loops running until told to stop."""

    def __init__(self, loops: Iterable[Loop] = (), *, rng: random.Random | None = None) -> None:
        self._kept: dict[str, _Kept] = {}
        self._stop = asyncio.Event()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        for loop in loops:
            self.add(loop)

    def add(self, loop: Loop) -> None:
        """Add a loop; it starts with `run`."""
        self._kept[loop.name] = _Kept(loop)

    @property
    def pulses(self) -> dict[str, Pulse]:
        """Each loop's pulse, by name."""
        return {name: kept.pulse for name, kept in self._kept.items()}

    def wake(self, name: str) -> None:
        """Run this loop's next pass now rather than at its period."""
        self._named(name).wakeup.set()

    def stop(self) -> None:
        """Let `run` end: no new tick starts, running ones get their grace."""
        self._stop.set()

    async def tick_now(self, name: str) -> object:
        """Run one tick of this loop now, after one that is under way, and return its result.

        Raises what the tick raises; NotFound for a name no loop has.
        """
        kept = self._named(name)
        async with kept.lock:
            return await self._attempt(kept)

    async def run(self) -> None:
        """Run every loop until `stop`; a loop that gives up takes the others, and the process, down with it."""
        async with asyncio.TaskGroup() as group:
            tasks = {group.create_task(self._keep(kept), name=name): kept for name, kept in self._kept.items()}
            await self._stop.wait()
            await self._drain(tasks)

    def overdue(self) -> list[str]:
        """Loops without a good or tried pass for three periods: the watchdog is not fed while there are any."""
        now = asyncio.get_running_loop().time()
        return [name for name, kept in self._kept.items() if self._is_overdue(kept, now)]

    def _is_overdue(self, kept: _Kept, now: float) -> bool:
        loop, started = kept.loop, kept.pulse.started
        return started is not None and now - started > 3 * loop.period * (1 + loop.jitter) + loop.deadline + 60

    def _named(self, name: str) -> _Kept:
        if name not in self._kept:
            raise NotFound(f"there is no loop named {name!r}; loops: {', '.join(sorted(self._kept))}")
        return self._kept[name]

    async def _drain(self, tasks: dict[asyncio.Task[None], _Kept]) -> None:
        busy = {task for task, kept in tasks.items() if kept.loop.grace and kept.lock.locked()}
        for task in tasks.keys() - busy:
            task.cancel()
        if busy:
            await asyncio.wait(busy, timeout=max(tasks[task].loop.grace for task in busy))
        for task in busy:
            task.cancel()

    async def _keep(self, kept: _Kept) -> None:
        while not self._stop.is_set():
            began = asyncio.get_running_loop().time()
            kept.wakeup.clear()
            async with kept.lock:
                pause = await self._guarded(kept, began)
            if self._stop.is_set():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await kept.wakeup.wait()

    async def _guarded(self, kept: _Kept, began: float) -> float:
        """Run one tick; return the pause after it. Raises only what repeats as a bug."""
        loop, pulse = kept.loop, kept.pulse
        try:
            await self._attempt(kept)
        except Exception as error:
            if not isinstance(error, DEPENDENCY_DOWN) and pulse.bugs >= loop.give_up_after:
                raise
            return loop.delays[min(pulse.failures, len(loop.delays)) - 1]
        period = loop.period * (1 + loop.jitter * self._rng.random())
        return max(0.0, period - (asyncio.get_running_loop().time() - began))

    async def _attempt(self, kept: _Kept) -> object:
        """Run one tick under its deadline and keep its pulse."""
        loop, pulse = kept.loop, kept.pulse
        clock = asyncio.get_running_loop().time
        pulse.started = clock()
        try:
            async with asyncio.timeout(loop.deadline):
                result = await loop.tick()
        except Exception as error:
            _failed(loop, pulse, error)
            raise
        _recovered(loop, pulse)
        pulse.last_ok = clock()
        pulse.passes += 1
        return result


def _failed(loop: Loop, pulse: Pulse, error: Exception) -> None:
    """Count a failure; log only the first of a row, with its traceback if it is a bug."""
    bug = not isinstance(error, DEPENDENCY_DOWN)
    pulse.failures += 1
    pulse.bugs = pulse.bugs + 1 if bug else 0
    pulse.last_error = str(error) or type(error).__name__
    if pulse.failures == 1 or (bug and pulse.bugs == 1):
        log.warning("loop.failed", loop=loop.name, error=pulse.last_error, exc_info=error if bug else None)


def _recovered(loop: Loop, pulse: Pulse) -> None:
    if pulse.failures:
        log.info("loop.recovered", loop=loop.name, failures=pulse.failures)
    pulse.failures, pulse.bugs, pulse.last_error = 0, 0, None


async def settled(
    coroutines: Iterable[Coroutine[Any, Any, T]], *, limit: int, deadline: float | None = None
) -> list[Outcome[T]]:
    """Run siblings side by side, at most `limit` at once, and return each one's outcome in order.

    One failing, or passing its own `deadline` (seconds from its start), never cancels another. Cancelling the call
    cancels them all.
    """
    gate = asyncio.Semaphore(limit)

    async def one(coroutine: Coroutine[Any, Any, T]) -> Outcome[T]:
        try:
            async with gate, asyncio.timeout(deadline):
                return Outcome(value=await coroutine)
        except Exception as error:  # noqa: BLE001 - the caller reads each error from its outcome
            return Outcome(error=error)
        finally:
            coroutine.close()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(coroutine), name=_named(coroutine)) for coroutine in coroutines]
    return [task.result() for task in tasks]


async def sheltered(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to its end what must not be cut short, such as writing an outcome; a cancellation is raised after it."""
    task = asyncio.get_running_loop().create_task(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and not task.cancelled():
        raise cancelled
    return task.result()


def _named(coroutine: Coroutine[Any, Any, Any]) -> str:
    """Return a task name for a person reading a dump."""
    return getattr(coroutine, "__qualname__", type(coroutine).__name__)

"""How long the event loop keeps due work waiting, and what held it up.

A chain of `call_later` beats measures the delay; that costs a few microseconds a beat and makes no task. By the time a
late beat runs, its cause is over: a watching thread looks at the loop's stack while the stall lasts and notes the task.
"""

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

BEAT = 0.1
STALL = 0.1
WINDOW = 60.0
KEPT = 5


@dataclass(frozen=True)
class Stall:
    """One time the loop stood still: for how long in seconds, in which task, at which line."""

    seconds: float
    task: str
    where: str


class LoopLag:
    """Measures the running loop between `start` and `stop`.

    `beat` is the time between two samples and `window` how far back `longest` looks, in seconds of loop time; stalls
    from `stall` seconds up are kept with their cause, the slowest `kept` of the window.
    """

    def __init__(self, *, beat: float = BEAT, stall: float = STALL, window: float = WINDOW, kept: int = KEPT) -> None:
        self._beat, self._stall, self._window, self._kept = beat, stall, window, kept
        self._lags: deque[tuple[float, float]] = deque()
        self._stalls: deque[tuple[float, Stall]] = deque(maxlen=64)
        self._stalls_total = 0
        self._handle: asyncio.TimerHandle | None = None
        self._watcher: _Watcher | None = None

    def start(self) -> None:
        """Begin to sample the running loop."""
        loop = asyncio.get_running_loop()
        self._watcher = _Watcher(loop, stall=self._stall)
        self._watcher.start()
        self._schedule(loop)

    def stop(self) -> None:
        """End sampling and the watching thread."""
        if self._handle is not None:
            self._handle.cancel()
        if self._watcher is not None:
            self._watcher.stop()
        self._handle = self._watcher = None

    @property
    def running(self) -> bool:
        """Whether the loop is being sampled."""
        return self._handle is not None

    def longest(self) -> float:
        """Return the longest delay within the window, in seconds."""
        self._forget(asyncio.get_running_loop().time())
        return self._lags[0][1] if self._lags else 0.0

    def slowest(self) -> list[Stall]:
        """Return the window's longest stalls, the longest first."""
        oldest = asyncio.get_running_loop().time() - self._window
        recent = [stall for at, stall in self._stalls if at >= oldest]
        return sorted(recent, key=lambda stall: stall.seconds, reverse=True)[: self._kept]

    def snapshot(self) -> Mapping[str, float]:
        """Return the figures for the metrics page."""
        return {"event_loop.lag_seconds": self.longest(), "event_loop.stalls_total": float(self._stalls_total)}

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._beat
        self._handle = loop.call_at(due, self._sample, loop, due)

    def _sample(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self._note(now, max(0.0, now - due))
        self._schedule(loop)

    def _note(self, now: float, lag: float) -> None:
        """Keep the lag so that the first one kept is always the window's longest."""
        while self._lags and self._lags[-1][1] <= lag:
            self._lags.pop()
        self._lags.append((now, lag))
        self._forget(now)
        task, where = self._watcher.beat() if self._watcher else ("", "")
        if lag >= self._stall:
            self._stalls_total += 1
            self._stalls.append((now, Stall(lag, task or "unknown", where)))

    def _forget(self, now: float) -> None:
        while self._lags and self._lags[0][0] < now - self._window:
            self._lags.popleft()


class _Watcher(threading.Thread):
    """Looks at the loop's thread whenever a beat is overdue, and keeps what it saw until the next beat."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, stall: float) -> None:
        super().__init__(name="event loop watcher", daemon=True)
        self._loop, self._stall = loop, stall
        self._loop_thread = threading.get_ident()
        self._last_beat = time.monotonic()
        self._seen = ("", "")
        self._ended = threading.Event()

    def beat(self) -> tuple[str, str]:
        """Tell that the loop runs; return the task and line seen while it last stood still."""
        self._last_beat = time.monotonic()
        seen, self._seen = self._seen, ("", "")
        return seen

    def stop(self) -> None:
        self._ended.set()
        self.join(timeout=1)

    def run(self) -> None:
        while not self._ended.wait(self._stall):
            if not self._seen[0] and time.monotonic() - self._last_beat > 1.5 * self._stall:
                self._seen = self._look()

    def _look(self) -> tuple[str, str]:
        task = asyncio.current_task(self._loop)
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - the documented way to see another thread
        where = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" if frame else ""
        return (task.get_name() if task else "a callback", where)

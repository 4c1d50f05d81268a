"""What the running daemon knows of itself and lends to its health checks."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spotd.aws.breaker import OpenBreaker
from spotd.loops.health.measures import Disk, StreamGauge, disk_room
from spotd.loops.health.probe import AwsProbe
from spotd.loops.lag import LoopLag


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """One SQS queue as its receivers see it.

    `silence` is the seconds since the last good receive, None before the first; `backlog` the messages waiting at AWS.
    """

    name: str
    silence: float | None
    backlog: int | None
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Gauges:
    """Where the checks look beside the store; a Python shell has none of it, and what is missing reports as off."""

    probe: AwsProbe | None = None
    lag: LoopLag | None = None
    redis: StreamGauge | None = None
    room: Callable[[Path], Coroutine[Any, Any, Disk]] = disk_room
    queues: Callable[[], Sequence[QueueState]] = tuple
    breakers: Callable[[], Sequence[OpenBreaker]] = tuple

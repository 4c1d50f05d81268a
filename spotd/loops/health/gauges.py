"""What the running daemon knows of itself and lends to its health checks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from spotd.aws.breaker import OpenBreaker
from spotd.loops.health.measures import StreamGauge
from spotd.loops.health.probe import AwsProbe
from spotd.loops.lag import LoopLag
from spotd.loops.supervisor import Pulse


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

    pulses: Callable[[], Mapping[str, Pulse]] = dict
    probe: AwsProbe | None = None
    lag: LoopLag | None = None
    redis: StreamGauge | None = None
    queues: Callable[[], Sequence[QueueState]] = tuple
    breakers: Callable[[], Sequence[OpenBreaker]] = tuple

"""The event consumer as the daemon sees it: where events come in, what they do, what it counts."""

from collections.abc import Mapping, Sequence

from spotd.loops.events.effects import Effects
from spotd.loops.events.intake import Intake
from spotd.loops.events.receiving import Receiver, measure_depths
from spotd.loops.health.gauges import QueueState
from spotd.loops.supervisor import Loop
from spotd.model.event import Verdict

HANDLING = "events"
"""Name of the loop that acts on events; the intake wakes it."""
HANDLING_PERIOD = 15.0
HANDLING_DEADLINE = 60.0
HANDLING_GRACE = 3.0
DEPTH_PERIOD = 30.0


class EventConsumer:
    """Receives, ingests and handles events; ingest never waits for handling."""

    def __init__(
        self, *, intake: Intake, effects: Effects, receivers: Sequence[Receiver] = (), receivers_per_queue: int = 2
    ) -> None:
        self._intake = intake
        self._effects = effects
        self._receivers = tuple(receivers)
        self._per_queue = receivers_per_queue

    def loops(self) -> tuple[Loop, ...]:
        """Return the loops that receive, measure the queues and handle what was received, for a supervisor."""
        receiving = (receiver.loop(number) for receiver in self._receivers for number in range(self._per_queue))
        handling = Loop(
            name=HANDLING, tick=self.handle, period=HANDLING_PERIOD, deadline=HANDLING_DEADLINE, grace=HANDLING_GRACE
        )
        measuring = Loop(name="events_depth", tick=self.measure, period=DEPTH_PERIOD, deadline=DEPTH_PERIOD)
        return (*receiving, handling, measuring) if self._receivers else (handling,)

    async def ingest(self, raw: bytes | str, source: str) -> list[Verdict]:
        """Take one body in, durably, and return a verdict per event; raises StoreUnavailable."""
        return await self._intake.ingest(raw, source)

    async def handle(self) -> int:
        """Act once on every accepted event that is not handled yet; return how many were handled."""
        return await self._effects.apply_pending()

    async def measure(self) -> None:
        """Ask every queue how much waits in it."""
        await measure_depths(self._receivers)

    def queues(self) -> Sequence[QueueState]:
        """Return what health reads about each queue."""
        return [receiver.state() for receiver in self._receivers]

    def snapshot(self) -> Mapping[str, float]:
        """Return the figures for the metrics page."""
        return {**self._intake.snapshot(), **self._effects.snapshot()}

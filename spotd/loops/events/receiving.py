"""Receive from SQS: a message leaves its queue only when all it holds is durable here."""

import asyncio
from collections.abc import Sequence

from spotd.aws.errors import AwsError
from spotd.aws.queue import Message, Queue
from spotd.errors import Conflict
from spotd.loops.events.intake import Body, Intake
from spotd.loops.health.gauges import QueueState
from spotd.loops.supervisor import Loop, settled, sheltered
from spotd.model.event import Outcome, Verdict

DEADLINE = 40.0
"""Seconds one receive may take: SQS holds an empty one for 20, its connection gives up at 30."""
GRACE = 3.0
"""Seconds to finish what was received when the daemon stops; what is not finished comes again."""
DEPTH_DEADLINE = 5.0
POISON_AFTER = 3
"""Deliveries after which a message that cannot be understood is quarantined."""


class Receiver:
    """Empties one queue into the intake."""

    def __init__(self, queue: Queue, intake: Intake) -> None:
        self._queue = queue
        self._intake = intake
        self._last_receive: float | None = None
        self._backlog: int | None = None
        self._error: str | None = None

    @property
    def name(self) -> str:
        """The queue's own name, from its URL."""
        return self._queue.url.rstrip("/").rpartition("/")[2]

    @property
    def source(self) -> str:
        """What the inbox notes as the way its messages came."""
        return f"sqs:{self.name}"

    def state(self) -> QueueState:
        """Return what health reads about this queue."""
        silence = None if self._last_receive is None else asyncio.get_running_loop().time() - self._last_receive
        return QueueState(name=self.name, silence=silence, backlog=self._backlog, error=self._error)

    def loop(self, number: int) -> Loop:
        """Return the loop that receives without pause; several of them share a queue.

        It needs no grace: an idle receive may be cut short at any time, and a batch is finished under shelter.
        """
        return Loop(name=f"events_receive/{self.name}/{number}", tick=self.receive, period=0, deadline=DEADLINE)

    async def receive(self) -> int:
        """Take one batch and delete what is durable; return how many messages left the queue.

        Raises AwsError if SQS does not answer, StoreUnavailable if nothing could be stored: then nothing is deleted,
        and the messages come again.
        """
        try:
            messages = await self._queue.receive()
        except AwsError as error:
            self._error = str(error)
            raise
        self._last_receive, self._error = asyncio.get_running_loop().time(), None
        return await sheltered(self._finished(messages)) if messages else 0

    async def _finished(self, messages: Sequence[Message]) -> int:
        """Store and delete one batch, also while the daemon stops; what takes too long comes again."""
        async with asyncio.timeout(GRACE):
            durable = await self._kept(messages)
            if durable:
                await self._queue.delete(tuple(durable))
        return len(durable)

    async def measure(self) -> None:
        """Ask how many messages wait; raises AwsError."""
        self._backlog = None
        self._backlog = await self._queue.depth()

    async def _kept(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages that are durable: all at once if the store takes them, else those it takes alone."""
        if not messages:
            return []
        try:
            taken = await self._intake.take([_body(message) for message in messages], self.source)
        except Conflict:
            return await self._kept_alone(messages)
        return [message for message, verdicts in zip(messages, taken, strict=True) if _is_durable(message, verdicts)]

    async def _kept_alone(self, messages: Sequence[Message]) -> list[Message]:
        """Keep one message that the store refuses from holding up its neighbours."""
        return [message for message in messages if await self._is_kept_alone(message)]

    async def _is_kept_alone(self, message: Message) -> bool:
        try:
            [verdicts] = await self._intake.take([_body(message)], self.source)
        except Conflict as error:
            if message.deliveries < POISON_AFTER:
                return False
            key = f"message:{message.message_id}"
            await self._intake.quarantine(key, message.body, source=self.source, reason=str(error))
            return True
        return _is_durable(message, verdicts)


async def measure_depths(receivers: Sequence[Receiver]) -> None:
    """Ask every queue for its depth, side by side; one that does not answer has none."""
    await settled((receiver.measure() for receiver in receivers), limit=16, deadline=DEPTH_DEADLINE)


def _body(message: Message) -> Body:
    return Body(raw=message.body, last_chance=message.deliveries >= POISON_AFTER)


def _is_durable(message: Message, verdicts: Sequence[Verdict]) -> bool:
    """Whether nothing of a message was left out; poison is, until it came often enough."""
    poisoned = any(verdict.outcome is Outcome.QUARANTINED for verdict in verdicts)
    return not poisoned or message.deliveries >= POISON_AFTER

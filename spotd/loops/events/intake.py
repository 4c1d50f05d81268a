"""Take messages in: understand them, make them durable in one transaction, tell the stream.

Nothing here acts on an event, and nothing here waits for one that acts.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from spotd.aws.events import Message, read
from spotd.changes import Changes
from spotd.clock import Clock
from spotd.model.account import Status
from spotd.model.event import Event, Outcome, Verdict
from spotd.store import accounts, inbox
from spotd.store.db import Database
from spotd.store.inbox import Received

BIG = 32_768
"""Length from which a body is read in a thread: decoding it would hold the loop for milliseconds."""

OWN_SOURCE = "spotd"


class Body(Struct, frozen=True, kw_only=True):
    """One raw message. `last_chance`: what nobody understands of it is quarantined, else it is left to come again."""

    raw: str | bytes
    last_chance: bool = True


class Intake:
    """Turns raw bodies into rows of the inbox; `wake` is called when there is something to act on."""

    def __init__(self, *, db: Database, clock: Clock, changes: Changes, wake: Callable[[], None]) -> None:
        self._db = db
        self._clock = clock
        self._changes = changes
        self._wake = wake
        self._counts: Counter[str] = Counter()
        self._onboarded: set[str] = set()

    def snapshot(self) -> Mapping[str, float]:
        """Return how many events had which outcome since the start."""
        return {f"events.{outcome}_total": float(self._counts[outcome]) for outcome in Outcome}

    async def ingest(self, raw: str | bytes, source: str) -> list[Verdict]:
        """Make one body durable and return a verdict per event; what nobody understands is quarantined at once.

        Raises StoreUnavailable, after which nothing of the body is stored.
        """
        [verdicts] = await self.take([Body(raw=raw)], source)
        return verdicts

    async def take(self, bodies: Sequence[Body], source: str) -> list[list[Verdict]]:
        """Make what these bodies hold durable, all or none; return their events' verdicts, body by body.

        A verdict `quarantined` of a body that has more chances was left out. Raises what the store raises.
        """
        now = self._clock.now()
        parts = [_split(body, await self._understood(body, now)) for body in bodies]
        received = [Received(verdict=m.verdict, body=m.body) for kept, _ in parts for m in kept]
        outcomes = iter(await inbox.accept_all(self._db, received, source=source, received_at=now))
        taken = [[_judged(m.verdict, next(outcomes)) for m in kept] for kept, _ in parts]
        self._tell((verdict for verdicts in taken for verdict in verdicts), source)
        return [[*verdicts, *(m.verdict for m in left)] for verdicts, (_, left) in zip(taken, parts, strict=True)]

    async def quarantine(self, key: str, raw: str, *, source: str, reason: str) -> None:
        """Keep a message that the store refuses as an event, so that it can leave its queue."""
        now = self._clock.now()
        await inbox.quarantine(self._db, key=key, reason=reason, source=source, body=raw, received_at=now)
        self._counts[Outcome.QUARANTINED] += 1

    async def _understood(self, body: Body, now: datetime) -> Sequence[Message]:
        """Read a body, and say of each accepted event if its account is none of ours."""
        big = len(body.raw) > BIG
        messages = await asyncio.to_thread(read, body.raw, now=now) if big else read(body.raw, now=now)
        return [message._replace(verdict=await self._with_reason(message.verdict)) for message in messages]

    async def _with_reason(self, verdict: Verdict) -> Verdict:
        event = verdict.event
        if verdict.outcome is not Outcome.ACCEPTED or event is None or event.account_id is None:
            return verdict
        if event.source == OWN_SOURCE or await self._is_onboarded(event.account_id):
            return verdict
        return replace(verdict, reason=f"account {event.account_id} is not onboarded; not acted on")

    async def _is_onboarded(self, account_id: str) -> bool:
        """Ask the store only about accounts not seen yet: whoever acts on the event asks again."""
        if account_id in self._onboarded:
            return True
        account = await accounts.find(self._db, account_id)
        if account is None or account.status is Status.PENDING:
            return False
        self._onboarded.add(account_id)
        return True

    def _tell(self, verdicts: Iterable[Verdict], source: str) -> None:
        """Count what came, publish what is new, and wake whoever acts on it."""
        for verdict in verdicts:
            self._counts[verdict.outcome] += 1
            if verdict.outcome is Outcome.ACCEPTED and verdict.event is not None:
                self._changes.publish("events.received", **_facts(verdict.event), source=source)
                self._wake()


def _split(body: Body, messages: Sequence[Message]) -> tuple[list[Message], list[Message]]:
    """Return what to store of a body now, and what to leave for its next delivery."""
    left = [m for m in messages if m.verdict.outcome is Outcome.QUARANTINED and not body.last_chance]
    return [message for message in messages if message not in left], left


def _judged(verdict: Verdict, outcome: Outcome) -> Verdict:
    return verdict if outcome is verdict.outcome else replace(verdict, outcome=outcome)


def _facts(event: Event) -> dict[str, object]:
    return {
        "key": event.key,
        "kind": event.kind,
        "account_id": event.account_id,
        "region": event.region,
        "instance_ids": list(event.instance_ids),
    }

"""Act on what was received: each event has its effect once, however often it is tried."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime

import structlog
from msgspec import Struct

from spotd.aws.instances import describe_instances
from spotd.aws.session import AccountSession
from spotd.clock import Clock
from spotd.errors import StoreUnavailable
from spotd.log import Row
from spotd.loops.events.intake import OWN_SOURCE
from spotd.loops.supervisor import Outcome, settled
from spotd.model.account import Account, Status
from spotd.model.event import Event, Kind
from spotd.model.instance import State
from spotd.store import accounts, inbox, instances, logs, scopes
from spotd.store.db import Database, Executor
from spotd.store.db.values import to_json
from spotd.store.inbox import StoredEvent

log = structlog.get_logger(__name__)

Sessions = Callable[[Account], Awaitable[AccountSession]]
"""Gives the session that signs as an account."""

BATCH = 100
"""Events handled in one transaction: a few tens of milliseconds in which nobody else writes to SQLite."""
AT_ONCE = 8
LOOK_DEADLINE = 5.0
"""Seconds AWS may take to describe what events named; after that the event's own word is taken for it."""
ATTEMPTS = 3
"""How often an event may fail to be handled before it goes to the quarantine and the others go on without it."""
COMPONENT = "events"
NOTICES: Mapping[str, str] = {
    Kind.INTERRUPTION: "Spot interruption warning",
    Kind.REBALANCE: "Spot rebalance recommendation",
}

Accounts = Mapping[str, Account]
"""The onboarded accounts by their AWS id."""


class Place(Struct, frozen=True):
    """One region of one account, by its AWS id."""

    account_id: str
    region: str


class Effect(Struct, frozen=True, kw_only=True):
    """What one event comes to: a word for the inbox, instances that take a state `at` a time, a row for people."""

    result: str
    account: int | None = None
    states: Mapping[str, State] = {}
    at: datetime | None = None
    note: Row | None = None


class Effects:
    """Brings the inventory in line with what events say, and writes Spot notices down.

    A state change makes spotd look at the instance; where AWS does not answer, the event's word stands until the next
    scan.
    """

    def __init__(self, *, db: Database, sessions: Sessions, clock: Clock, managed_tag: str) -> None:
        self._db = db
        self._sessions = sessions
        self._clock = clock
        self._managed_tag = managed_tag
        self._counts: Counter[str] = Counter()
        self._attempts: Counter[int] = Counter()

    def snapshot(self) -> Mapping[str, float]:
        """Return how many events were handled since the start, given up, and looked up in vain."""
        return {f"events.{name}_total": float(self._counts[name]) for name in ("handled", "failed", "lookups_failed")}

    async def apply_pending(self) -> int:
        """Act on every accepted event that waits; return how many were handled.

        One that fails stays for the next pass and goes to the quarantine after the third. Raises StoreUnavailable.
        """
        handled = 0
        while pending := await inbox.unprocessed(self._db, limit=BATCH):
            done = await self._apply(pending)
            handled += done
            self._counts["handled"] += done
            if done < len(pending):
                break
        return handled

    async def _apply(self, pending: Sequence[StoredEvent]) -> int:
        """Act on a batch: notices at once, state changes after one look per place; return how many are done."""
        known = {each.account_id: each for each in await accounts.all_accounts(self._db) if _is_onboarded(each)}
        changes = [stored for stored in pending if stored.event.kind == Kind.STATE_CHANGE]
        notices = [stored for stored in pending if stored.event.kind != Kind.STATE_CHANGE]
        done = await self._finish_all(notices, known, frozenset())
        looked = await self._look(changes, known)
        in_time = sorted(changes, key=lambda stored: stored.event.time or stored.received_at)
        return done + await self._finish_all(in_time, known, looked)

    # --- having an effect ----------------------------------------------------

    async def _finish_all(self, events: Sequence[StoredEvent], known: Accounts, looked: frozenset[str]) -> int:
        """Finish events in one transaction or, if one of them spoils it, each in its own; return how many are done."""
        [together] = await settled([self._finish(events, known, looked)], limit=1)
        if together.ok:
            return len(events)
        alone = await settled((self._finish([stored], known, looked) for stored in events), limit=1)
        for stored, outcome in zip(events, alone, strict=True):
            if isinstance(outcome.error, StoreUnavailable):
                raise outcome.error
            if outcome.error is not None:
                await self._failed(stored, outcome.error)
        return sum(outcome.ok for outcome in alone)

    async def _finish(self, events: Sequence[StoredEvent], known: Accounts, looked: frozenset[str]) -> None:
        """Mark each event done and let it have its effect, all or none; one that is done already has none."""
        async with self._db.transaction() as tx:
            for stored in events:
                effect = await self._effect(tx, stored.event, known, looked)
                if await inbox.mark_processed(tx, stored.id, now=self._clock.now(), result=effect.result):
                    await self._write(tx, effect)

    async def _effect(self, tx: Executor, event: Event, known: Accounts, looked: frozenset[str]) -> Effect:
        """Decide what an event means."""
        account = known.get(event.account_id or "")
        if event.source == OWN_SOURCE:
            return Effect(result="told")
        if account is None:
            return Effect(result="account not onboarded; not acted on")
        if event.kind in NOTICES:
            return Effect(result="noted", note=self._note(event))
        if looked.issuperset(event.instance_ids):
            return Effect(result="looked up")
        return await self._believed(tx, event, account)

    async def _believed(self, tx: Executor, event: Event, account: Account) -> Effect:
        """Take a state change's own word for it, unless what is stored is newer."""
        stored = await instances.by_ids(tx, event.instance_ids, account_id=account.id)
        if not stored or event.state is None:
            return Effect(result="instance not known")
        news = [each.instance.instance_id for each in stored if event.time is None or each.changed_at <= event.time]
        if not news:
            return Effect(result="older than what is known")
        states = dict.fromkeys(news, State(event.state))
        now = self._clock.now()
        at = now if event.time is None else min(event.time, now)
        return Effect(result=f"taken for {event.state}", account=account.id, states=states, at=at)

    def _note(self, event: Event) -> Row:
        """Return the row that tells people what AWS said, of which instance, when."""
        which = ", ".join(event.instance_ids)
        action = f" ({event.action})" if event.action else ""
        return Row(
            timestamp=self._clock.now(),
            component=COMPONENT,
            level="info",
            message=f"{NOTICES[event.kind]}{action} for {which} in {event.region or 'an unnamed region'}",
            details={"key": event.key, "account_id": event.account_id, "time": event.time},
        )

    async def _write(self, tx: Executor, effect: Effect) -> None:
        for instance_id, state in effect.states.items():
            assert effect.account is not None
            assert effect.at is not None
            await instances.set_state(tx, effect.account, instance_id, state, now=effect.at)
        if effect.note is not None:
            await logs.insert(tx, effect.note)

    async def _failed(self, stored: StoredEvent, error: Exception) -> None:
        """Count a failure; the last one puts the event aside, where a person finds it."""
        self._attempts[stored.id] += 1
        log.warning("events.not_handled", key=stored.event.key, attempt=self._attempts[stored.id], exc_info=error)
        if self._attempts[stored.id] < ATTEMPTS:
            return
        async with self._db.transaction() as tx:
            reason = f"could not be handled: {error}"
            await inbox.mark_processed(tx, stored.id, now=self._clock.now(), result=reason)
            await inbox.quarantine(
                tx,
                key=stored.event.key,
                kind=stored.event.kind,
                reason=reason,
                source=stored.source,
                body=to_json(stored.event.body),
                received_at=stored.received_at,
            )
        self._counts["failed"] += 1
        del self._attempts[stored.id]

    # --- looking at instances ------------------------------------------------

    async def _look(self, changes: Sequence[StoredEvent], known: Accounts) -> frozenset[str]:
        """Describe the instances that events named, one call per place; return those that are now as AWS has them."""
        named: dict[Place, set[str]] = {}
        for event in (stored.event for stored in changes):
            if event.account_id is not None and event.account_id in known and event.region is not None:
                named.setdefault(Place(event.account_id, event.region), set()).update(event.instance_ids)
        looks = (self._describe(known[place.account_id], place.region, ids) for place, ids in named.items())
        outcomes = await settled(looks, limit=AT_ONCE, deadline=LOOK_DEADLINE)
        return frozenset().union(*(self._found(*each) for each in zip(named, outcomes, strict=True)))

    def _found(self, place: Place, outcome: Outcome[frozenset[str]]) -> frozenset[str]:
        """Return what a look found: nothing, where AWS did not answer. Raises StoreUnavailable."""
        if isinstance(outcome.error, StoreUnavailable):
            raise outcome.error
        if outcome.value is not None:
            return outcome.value
        self._counts["lookups_failed"] += 1
        log.info("events.lookup_failed", account=place.account_id, region=place.region, error=repr(outcome.error))
        return frozenset()

    async def _describe(self, account: Account, region: str, ids: Collection[str]) -> frozenset[str]:
        """Store these instances as AWS has them now; return which of them it knows."""
        generation = await scopes.current(self._db, account.id, region)
        session = await self._sessions(account)
        found = await describe_instances(session, region, ids, self._managed_tag)
        await instances.refresh(self._db, account.id, region, generation, found, now=self._clock.now())
        return frozenset(instance.instance_id for instance in found)


def _is_onboarded(account: Account) -> bool:
    return account.status is not Status.PENDING

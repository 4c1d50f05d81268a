"""Act on what was received: each event once, in the order of its urgency, however often it is tried."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import structlog
from msgspec import Struct

from spotd.aws.instances import describe_instances
from spotd.aws.session import AccountSession
from spotd.clock import Clock
from spotd.errors import SpotdError, StoreUnavailable
from spotd.log import Row
from spotd.loops.events.intake import OWN_SOURCE
from spotd.loops.supervisor import Outcome, settled
from spotd.model.account import Account
from spotd.model.event import Event, Kind
from spotd.model.instance import State
from spotd.store import accounts, inbox, instances, logs, scopes
from spotd.store.db import Database, Executor
from spotd.store.db.values import to_json
from spotd.store.inbox import StoredEvent

log = structlog.get_logger(__name__)

Sessions = Callable[[Account], Awaitable[AccountSession]]
"""Gives the session that signs as an account."""

BATCH = 500
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


class AlreadyHandled(SpotdError):
    """Somebody else handled this event first; what was about to be written is rolled back."""


class Place(Struct, frozen=True, order=True):
    """One region of one account (`accounts.id`)."""

    account: int
    region: str


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
        """Return how many events were handled since the start, gave up on, and looked up in vain."""
        return {f"events.{name}_total": float(self._counts[name]) for name in ("handled", "failed", "lookups_failed")}

    async def apply_pending(self) -> int:
        """Act on every accepted event that waits; return how many were handled.

        One that fails stays for the next pass and goes to the quarantine after the third. Raises StoreUnavailable.
        """
        handled = 0
        while pending := await inbox.unprocessed(self._db, limit=BATCH):
            done = await self._apply(pending)
            handled += done
            if done < len(pending):
                break
        return handled

    async def _apply(self, pending: Sequence[StoredEvent]) -> int:
        """Act on a batch: notices at once, state changes after one look per place; return how many are done."""
        known = {account.account_id: account for account in await accounts.all_accounts(self._db)}
        changes = [stored for stored in pending if stored.event.kind == Kind.STATE_CHANGE]
        others = [stored for stored in pending if stored.event.kind != Kind.STATE_CHANGE]
        done = await self._finish_all(others, known, frozenset())
        looked = await self._look(changes, known)
        in_time = sorted(changes, key=lambda stored: stored.event.time or stored.received_at)
        return done + await self._finish_all(in_time, known, looked)

    async def _finish_all(
        self, pending: Iterable[StoredEvent], known: Mapping[str, Account], looked: frozenset[str]
    ) -> int:
        """Finish events one by one, so that one that fails does not hold up the others; return how many are done."""
        events = list(pending)
        outcomes = await settled((self._finish(stored, known, looked) for stored in events), limit=1)
        for stored, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome.error, StoreUnavailable):
                raise outcome.error
            if outcome.error is not None:
                await self._failed(stored, outcome.error)
        done = sum(outcome.ok for outcome in outcomes)
        self._counts["handled"] += done
        return done

    async def _finish(self, stored: StoredEvent, known: Mapping[str, Account], looked: frozenset[str]) -> None:
        """Let one event have its effect and mark it done, in one transaction; nothing if it is done already."""
        account = known.get(stored.event.account_id or "")
        async with self._db.transaction() as tx:
            result = await self._effect(tx, stored.event, account, looked)
            if not await inbox.mark_processed(tx, stored.id, now=self._clock.now(), result=result):
                raise AlreadyHandled
        self._attempts.pop(stored.id, None)

    async def _effect(self, tx: Executor, event: Event, account: Account | None, looked: frozenset[str]) -> str:
        """Write what an event means; return what was done about it, for the inbox."""
        if event.source == OWN_SOURCE:
            return "told"
        if account is None:
            return "account not onboarded; not acted on"
        if event.kind in NOTICES:
            await self._note(tx, event)
            return "noted"
        if looked.issuperset(event.instance_ids):
            return "looked up"
        return await self._believe(tx, event, account)

    async def _believe(self, tx: Executor, event: Event, account: Account) -> str:
        """Take a state change's own word for it, unless what is stored is newer."""
        told = State(event.state) if event.state else None
        stored = {
            each.instance.instance_id: each
            for each in await instances.by_ids(tx, event.instance_ids, account_id=account.id)
        }
        if told is None or not stored:
            return "instance not known"
        news = [name for name, each in stored.items() if event.time is None or each.changed_at <= event.time]
        for instance_id in news:
            await instances.set_state(tx, account.id, instance_id, told, now=self._clock.now())
        return f"taken for {told}" if news else "older than what is known"

    async def _note(self, tx: Executor, event: Event) -> None:
        """Leave a row for people: what AWS said, of which instance, when."""
        which = ", ".join(event.instance_ids)
        action = f" ({event.action})" if event.action else ""
        message = f"{NOTICES[event.kind]}{action} for {which} in {event.region or 'an unnamed region'}"
        details = {"key": event.key, "account_id": event.account_id, "time": event.time}
        row = Row(timestamp=self._clock.now(), component=COMPONENT, level="info", message=message, details=details)
        await logs.insert(tx, row)

    async def _look(self, pending: Sequence[StoredEvent], known: Mapping[str, Account]) -> frozenset[str]:
        """Describe the instances that events named, one call per place; return those that are now as AWS has them."""
        named: dict[Place, set[str]] = {}
        for stored in pending:
            account, region = known.get(stored.event.account_id or ""), stored.event.region
            if account is not None and region is not None:
                named.setdefault(Place(account.id, region), set()).update(stored.event.instance_ids)
        by_key = {account.id: account for account in known.values()}
        outcomes = await settled(
            (self._describe(by_key[place.account], place.region, ids) for place, ids in named.items()),
            limit=AT_ONCE,
            deadline=LOOK_DEADLINE,
        )
        return self._seen(named, outcomes)

    def _seen(self, named: Mapping[Place, set[str]], outcomes: Sequence[Outcome[None]]) -> frozenset[str]:
        seen: set[str] = set()
        for (place, ids), outcome in zip(named.items(), outcomes, strict=True):
            if isinstance(outcome.error, StoreUnavailable):
                raise outcome.error
            if outcome.error is None:
                seen |= ids
                continue
            self._counts["lookups_failed"] += 1
            log.info("events.lookup_failed", region=place.region, instances=len(ids), error=str(outcome.error))
        return frozenset(seen)

    async def _describe(self, account: Account, region: str, ids: Collection[str]) -> None:
        """Store these instances as AWS has them now; what AWS does not know is left to the next listing."""
        generation = await scopes.current(self._db, account.id, region)
        session = await self._sessions(account)
        found = await describe_instances(session, region, ids, self._managed_tag)
        await instances.refresh(self._db, account.id, region, generation, found, now=self._clock.now())

    async def _failed(self, stored: StoredEvent, error: Exception) -> None:
        """Count a failure; the last one puts the event aside, where a person can see it."""
        if isinstance(error, AlreadyHandled):
            return
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

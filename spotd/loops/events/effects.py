"""Act on what was received: each event once, in the order of its urgency, however often it is tried."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby

import structlog
from msgspec import Struct

from spotd.aws.errors import AwsError
from spotd.aws.instances import describe_instances
from spotd.aws.session import AccountSession
from spotd.changes import Changes
from spotd.clock import Clock
from spotd.errors import SpotdError
from spotd.loops.supervisor import settled
from spotd.model.account import Account
from spotd.model.event import Event, Kind
from spotd.model.instance import LIVE, State
from spotd.store import accounts, inbox, instances, logs, scopes
from spotd.store.db import Database, Executor
from spotd.store.inbox import StoredEvent

log = structlog.get_logger(__name__)

Sessions = Callable[[Account], Awaitable[AccountSession]]
"""Gives the session that signs as an account."""

BATCH = 500
AT_ONCE = 8
LOOK_DEADLINE = 20.0
"""Seconds AWS may take to describe what events named; then their own word is taken for it."""
COMPONENT = "events"
NOTICES = {
    Kind.INTERRUPTION: "Spot interruption warning",
    Kind.REBALANCE: "Spot rebalance recommendation",
}


class Place(Struct, frozen=True, order=True):
    """One region of one account (`accounts.id`)."""

    account: int
    region: str


class Effects:
    """Brings the inventory in line with what events say.

    A state change makes spotd look at the instance; where AWS does not answer, the event's word stands until the next
    scan. A Spot notice is written down for people and, as a topic, for whoever reacts to it.
    """

    def __init__(
        self, *, db: Database, sessions: Sessions, clock: Clock, changes: Changes, managed_tag: str
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._clock = clock
        self._changes = changes
        self._managed_tag = managed_tag
        self._counts: Counter[str] = Counter()

    def snapshot(self) -> Mapping[str, float]:
        """Return how many events were handled since the start, and how many were looked up in vain."""
        return {f"events.{name}_total": float(self._counts[name]) for name in ("handled", "lookups_failed")}

    async def apply_pending(self) -> int:
        """Act on every accepted event that waits; return how many were handled. Raises StoreUnavailable."""
        handled = 0
        while pending := await inbox.unprocessed(self._db, limit=BATCH):
            handled += await self._apply(pending)
        return handled

    async def _apply(self, pending: Sequence[StoredEvent]) -> int:
        known = {account.account_id: account for account in await accounts.all_accounts(self._db)}
        ...

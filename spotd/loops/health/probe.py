"""Whether AWS answers: one cheap signed call per account and per region, whatever the scan interval is."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from spotd.aws.session import AccountSession
from spotd.clock import Clock
from spotd.loops.health.targets import Target, choose, excluded_regions
from spotd.loops.supervisor import settled
from spotd.model.account import Account, Status
from spotd.store import accounts, scopes
from spotd.store.db import Database

Sessions = Callable[[Account], Awaitable[AccountSession]]
"""Gives the session that signs as an account."""

PATIENCE = 8.0
"""Seconds one probe may take: a cold connection to the far side of the world needs one, a hung one never answers."""
ROUND_DEADLINE = 2 * PATIENCE
BUDGET = 128
"""Probes in one round, all at once: a thousand accounts must not become a load of their own."""


class Reach(Struct, frozen=True, kw_only=True):
    """What the last probe of an account-region came to; `error` None means that it answered."""

    account_id: str
    region: str
    at: datetime
    error: str | None


class AwsProbe:
    """Probes AWS round by round and remembers the last complete round.

    `sessions` gives an account's session, `home` the region to probe for an account that has none yet.
    """

    def __init__(
        self, *, db: Database, sessions: Sessions, clock: Clock, home: str, patience: float = PATIENCE
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._clock = clock
        self._home = home
        self._patience = patience
        self._rounds = 0
        self._busy = False
        self._round: tuple[Reach, ...] | None = None
        self._targets_known = 0
        self._last_good: datetime | None = None

    @property
    def last_round(self) -> Sequence[Reach] | None:
        """The results of the last complete round; None before the first, empty when there is nothing to probe."""
        return self._round

    @property
    def last_good(self) -> datetime | None:
        """When AWS last answered any probe."""
        return self._last_good

    @property
    def targets_known(self) -> int:
        """How many account-regions there are to choose from."""
        return self._targets_known

    async def look(self) -> None:
        """Run a round unless one is under way; cut short, it leaves the last round's results."""
        if not self._busy:
            await self.tick()

    async def tick(self) -> Sequence[Reach]:
        """Probe every account and every region in use once, up to the budget, and remember what they answered."""
        self._busy = True
        try:
            return await self._run()
        finally:
            self._busy = False

    async def _run(self) -> Sequence[Reach]:
        known = {account.id: account for account in await accounts.all_accounts(self._db) if _is_in_use(account)}
        targets = await self._targets(known)
        chosen = choose(targets, turn=self._rounds, budget=BUDGET)
        self._rounds += 1
        probes = (self._probe(known[target.account], target.region) for target in chosen)
        outcomes = await settled(probes, limit=BUDGET, deadline=self._patience)
        self._round = tuple(
            self._judged(known[target.account], target.region, outcome.error)
            for target, outcome in zip(chosen, outcomes, strict=True)
        )
        self._targets_known = len(targets)
        return self._round

    async def _targets(self, known: Mapping[int, Account]) -> list[Target]:
        """Every account-region in use, without those the account may not use."""
        scanned = {Target(scope.account_id, scope.region) for scope in await scopes.all_scopes(self._db)}
        excluded = {Target(account.id, region) for account in known.values() for region in excluded_regions(account)}
        targets = {target for target in scanned - excluded if target.account in known}
        lacking = known.keys() - {target.account for target in targets}
        homes = {Target(pk, next(iter(known[pk].regions), self._home)) for pk in lacking}
        return sorted(targets | homes)

    async def _probe(self, account: Account, region: str) -> None:
        session = await self._sessions(account)
        await session.call("ec2", region, "DescribeRegions", RegionNames=[region])

    def _judged(self, account: Account, region: str, error: Exception | None) -> Reach:
        now = self._clock.now()
        if error is None:
            self._last_good = now
        told = None if error is None else self._told(error)
        return Reach(account_id=account.account_id, region=region, at=now, error=told)

    def _told(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._patience:g} s"
        return str(error) or type(error).__name__


def _is_in_use(account: Account) -> bool:
    return account.status in {Status.CONNECTED, Status.ACTIVE}

"""Keep the inventory fresh: which account and region is due when, and the workers that scan it.

Each scope is on its own clock, so a scope that fails or hangs backs off alone.
"""

import asyncio
import random
from collections.abc import Iterable

import structlog
from msgspec import Struct

from spotd.aws.errors import AwsError, Denial, Trouble
from spotd.aws.session import AccountSession
from spotd.changes import Changes
from spotd.clock import Clock
from spotd.config import DiscoveryConfig
from spotd.errors import Conflict, NotFound
from spotd.loops.discovery import Discovery, require_rediscoverable
from spotd.loops.schedule import Schedule
from spotd.model.account import Account, Condition, Status
from spotd.store import accounts, scopes
from spotd.store.db import Database

log = structlog.get_logger(__name__)

PATIENCE = 30.0
"""Seconds a worker waits for due work before its tick ends, so that its pulse stays fresh."""
HOUR = 3600.0
SCAN_DEADLINE = 120.0
FIRST_BACK_OFF = 15.0


class Scope(Struct, frozen=True):
    """One region of one account (`accounts.id`); region None stands for the list of its regions."""

    account_id: int
    region: str | None


class Failure(Struct, frozen=True):
    """How often a scope failed in a row, and the condition that tells it."""

    count: int
    condition: str


class Rescanner:
    """Plans and runs first discoveries and periodic re-scans."""

    def __init__(
        self,
        *,
        db: Database,
        discovery: Discovery,
        config: DiscoveryConfig,
        clock: Clock,
        changes: Changes,
        rng: random.Random | None = None,
    ) -> None:
        self._db = db
        self._discovery = discovery
        self._config = config
        self._clock = clock
        self._changes = changes
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._first: Schedule[int] = Schedule()
        self._scopes: Schedule[Scope] = Schedule()
        self._failures: dict[Scope, Failure] = {}

    @property
    def waiting(self) -> int:
        """How many scopes are known, due or not."""
        return len(self._scopes)

    async def plan(self) -> None:
        """Bring both schedules in line with the accounts table."""
        known = await accounts.all_accounts(self._db)
        for account in known:
            self._plan_account(account)
        alive = {account.id for account in known if account.status is Status.ACTIVE}
        self._scopes.discard(lambda scope: scope.account_id not in alive)
        self._failures = {scope: n for scope, n in self._failures.items() if scope.account_id in alive}

    def _plan_account(self, account: Account) -> None:
        if account.status is Status.CONNECTED and account.id not in self._first:
            self._first.put(account.id, _now())
        regions = Scope(account.id, None)
        if account.status is Status.ACTIVE and regions not in self._scopes:
            self._scopes.put(regions, _now())

    async def discover_next(self) -> None:
        """Run the first discovery that is due next; an idle worker's tick ends after its patience."""
        account_id = await self._first.claim(PATIENCE)
        if account_id is None:
            return
        try:
            await self._discovery.run_initial_discovery(account_id)
        except (NotFound, Conflict) as error:
            log.info("discovery.not_owed", id=account_id, reason=str(error))
        finally:
            self._first.release(account_id)

    async def rescan_next(self) -> None:
        """Scan the scope that is due next, and put it back for its next time."""
        scope = await self._scopes.claim(PATIENCE)
        if scope is None:
            return
        pause: float | None = FIRST_BACK_OFF
        try:
            pause = await self._scan(scope)
        except NotFound:
            pause = None
        finally:
            if pause is not None:
                self._scopes.put(scope, _now() + pause)
            self._scopes.release(scope)

    async def request_rediscovery(self, account_id: int) -> None:
        """Make every region of an active account due now; wake the first discovery of a connected one.

        Raises Conflict, naming reconnect, for a pending or failed account.
        """
        account = await accounts.get(self._db, account_id)
        if account.status is Status.CONNECTED:
            self._plan_account(account)
            return
        require_rediscoverable(account)
        self._scopes.put(Scope(account_id, None), _now())
        for known in await scopes.all_scopes(self._db, account_id):
            self._scopes.put(Scope(account_id, known.region), _now())

    async def _scan(self, scope: Scope) -> float:
        """Do what a scope asks for; return the seconds until its next time."""
        account = await accounts.get(self._db, scope.account_id)
        if account.status is not Status.ACTIVE:
            raise NotFound(f"account {account.account_id} is {account.status}")
        try:
            async with asyncio.timeout(SCAN_DEADLINE):
                session = await self._discovery.get_session_for_account(account)
                pause = await self._scan_as(account, session, scope)
        except (AwsError, TimeoutError) as error:
            return await self._backed_off(account, scope, error)
        await self._recovered(account, scope)
        return pause * (1 + 0.1 * self._rng.random())

    async def _scan_as(self, account: Account, session: AccountSession, scope: Scope) -> float:
        if scope.region is None:
            await self._refresh_regions(account, session)
            return HOUR
        result = await self._discovery.scan_ec2_instances(session, account.id, self._db, scope.region)
        if result.changed or result.ended:
            self._changes.publish("discovery.completed", account_id=account.account_id, region=scope.region)
        return self._config.interval if result.seen else max(HOUR, self._config.interval)

    async def _refresh_regions(self, account: Account, session: AccountSession) -> None:
        regions, excluded = await self._discovery.regions_of(account, session)
        await self._discovery.exclude(account, excluded)
        fresh = [scope for region in regions if (scope := Scope(account.id, region)) not in self._scopes]
        for scope, pause in zip(fresh, self._spread(len(fresh)), strict=True):
            self._scopes.put(scope, _now() + pause)

    def _spread(self, number: int) -> Iterable[float]:
        """Return that many pauses, spread at random over the interval."""
        return [self._config.interval * self._rng.random() for _ in range(number)]

    async def _backed_off(self, account: Account, scope: Scope, error: Exception) -> float:
        """Note why a scope is stale, log the edge, and return the pause before the next try."""
        known = self._failures.get(scope)
        count = known.count + 1 if known else 1
        self._failures[scope] = Failure(count, _blamed(scope, error))
        if known is None:
            log.warning("discovery.region_failed", account_id=account.account_id, region=scope.region, error=str(error))
            await self._set_condition(account, _blamed(scope, error), error)
        if isinstance(error, AwsError) and error.trouble is Trouble.DENIED:
            return HOUR
        return min(self._config.interval, FIRST_BACK_OFF * 2.0 ** min(count - 1, 10))

    async def _recovered(self, account: Account, scope: Scope) -> None:
        failure = self._failures.pop(scope, None)
        if failure is not None:
            log.info("discovery.region_recovered", account_id=account.account_id, region=scope.region)
            await self._set_condition(account, failure.condition, None)

    async def _set_condition(self, account: Account, kind: str, error: Exception | None) -> None:
        """Say what holds of an account: `RegionExcluded/…` holds while denied, the others while AWS answers."""
        condition = Condition(
            type=kind,
            status=(error is not None) is kind.startswith("RegionExcluded"),
            reason="Answered" if error is None else getattr(error, "code", type(error).__name__),
            message="" if error is None else str(error),
            observed_at=self._clock.now(),
        )
        await accounts.set_condition(self._db, account.id, condition)


def _blamed(scope: Scope, error: Exception) -> str:
    """Return the type of the condition that a scope's error is told by."""
    denial = error.denial if isinstance(error, AwsError) else None
    if denial is Denial.CREDENTIALS:
        return "CredentialsValid"
    if scope.region is None:
        return "RegionsListed"
    excluded = denial in {Denial.POLICY, Denial.OPT_IN}
    return f"RegionExcluded/{scope.region}" if excluded else f"RegionReachable/{scope.region}"


def _now() -> float:
    return asyncio.get_running_loop().time()

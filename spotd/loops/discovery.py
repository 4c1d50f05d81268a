"""Find every instance of an account: the first, complete discovery, and re-discovery on demand.

A connected account's row is the job: nothing else remembers that its first discovery is owed, so a crash loses nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from itertools import chain, repeat

import structlog
from msgspec import Struct

from spotd.aws import instances as ec2
from spotd.aws.errors import AwsError, Denial, Trouble
from spotd.aws.session import AccountSession, Aws
from spotd.changes import Changes
from spotd.clock import Clock
from spotd.config import DiscoveryConfig
from spotd.crypto import KeyRing
from spotd.errors import Conflict, StoreUnavailable
from spotd.loops.onboarding import grant_of
from spotd.loops.scan import ScanResult, scan_ec2_instances
from spotd.loops.supervisor import Outcome, settled, sheltered
from spotd.model.account import Account, Condition, Status
from spotd.store import accounts
from spotd.store.db import Database

log = structlog.get_logger(__name__)

RETRY_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0)
FIRST_LOOK_DEADLINE = 15.0
"""Seconds the first look at prices and CPU may hold an account back from `active`."""

FirstLook = Callable[[Account, AccountSession, Mapping[str, int]], Awaitable[None]]
"""Reads prices and CPU for the regions of an account, by how many instances each has."""


class Listing(Struct, frozen=True, kw_only=True):
    """A complete listing of an account: what each region answered, and which regions it may not use."""

    scans: tuple[ScanResult, ...]
    excluded: Mapping[str, str]


class Discovery:
    """The discovery of accounts, by the names its users know."""

    def __init__(
        self,
        *,
        db: Database,
        aws: Aws,
        keyring: KeyRing,
        config: DiscoveryConfig,
        clock: Clock,
        changes: Changes,
        first_look: FirstLook,
        check_health: Callable[[], Awaitable[Mapping[str, object]]],
        on_active: Callable[[], None] = lambda: None,
    ) -> None:
        self._db = db
        self._aws = aws
        self._keyring = keyring
        self._config = config
        self._clock = clock
        self._changes = changes
        self._first_look = first_look
        self._check_health = check_health
        self._on_active = on_active

    async def get_session_for_account(self, account: Account) -> AccountSession:
        """Return the session that signs calls as this account; raises WrongKey if its secrets cannot be opened."""
        return self._aws.session_for(account.account_id, await grant_of(self._db, self._keyring, account))

    async def scan_ec2_instances(
        self, session: AccountSession, account_id: int, db: Database, region: str
    ) -> ScanResult:
        """Bring one region of one account in line with AWS; see `spotd.loops.scan`."""
        return await scan_ec2_instances(
            session, account_id, db, region, managed_tag=self._config.managed_tag, clock=self._clock
        )

    async def run_initial_discovery(self, account_id: int) -> None:
        """Discover a connected account completely, make it active, then check health.

        A permanent error, an unexpected one, or no complete listing within `discovery.first_deadline` makes the
        account failed, with error and time in its metadata. Raises Conflict unless the account is connected, and
        StoreUnavailable, after which the account is still connected and the discovery still owed.
        """
        account = await accounts.get(self._db, account_id)
        if account.status is not Status.CONNECTED:
            raise Conflict(f"account {account.account_id} is {account.status}, not connected")
        log.info("discovery.started", account_id=account.account_id)
        [outcome] = await settled([self._discover(account)], limit=1)
        if isinstance(outcome.error, StoreUnavailable):
            raise outcome.error
        if outcome.error is not None:
            await self._fail(account, outcome.error)
            return
        await self._activate(account)
        await self._report_health(account)

    async def trigger_rediscovery(self, account_id: int) -> Listing:
        """Scan an active account again now; its status stays what it is.

        Raises Conflict unless the account is active, AwsError if no region could be listed.
        """
        account = await accounts.get(self._db, account_id)
        require_rediscoverable(account)
        listing = await self._list_once(account, await self.get_session_for_account(account), None)
        self._changes.publish("discovery.completed", account_id=account.account_id)
        return listing

    async def regions_of(self, account: Account, session: AccountSession) -> tuple[tuple[str, ...], dict[str, str]]:
        """Return the regions to scan, and those the account's configuration or AWS rules out with the reason."""
        found = await ec2.enabled_regions(session)
        wanted = account.regions or tuple(found.enabled)
        excluded = {region: "not enabled for this account" for region in wanted if region not in found.enabled}
        return tuple(region for region in wanted if region in found.enabled), excluded

    async def exclude(self, account: Account, excluded: Mapping[str, str]) -> None:
        """Record the regions an account may not use, as conditions."""
        now = self._clock.now()
        for region, reason in excluded.items():
            await accounts.set_condition(self._db, account.id, region_excluded(region, reason, now))

    async def _discover(self, account: Account) -> None:
        session = await self.get_session_for_account(account)
        listing = await self._list_until_complete(account, session)
        await self.exclude(account, listing.excluded)
        found = {scan.region: scan.seen for scan in listing.scans}
        [looked] = await settled([self._look(account, session, found)], limit=1, deadline=FIRST_LOOK_DEADLINE)
        if looked.error is not None:
            log.warning("discovery.first_look_failed", account_id=account.account_id, error=_told(looked.error))

    async def _look(self, account: Account, session: AccountSession, found: Mapping[str, int]) -> None:
        await self._first_look(account, session, found)

    async def _list_until_complete(self, account: Account, session: AccountSession) -> Listing:
        """List every region, again and again where AWS is slow or busy, within the first deadline."""
        last: str = "AWS did not answer"
        scanned: dict[str, ScanResult] = {}
        try:
            async with asyncio.timeout(self._config.first_deadline):
                for delay in chain(RETRY_DELAYS, repeat(RETRY_DELAYS[-1])):
                    try:
                        return await self._list_once(account, session, scanned)
                    except (AwsError, TimeoutError) as error:
                        if not is_passing(error):
                            raise
                        last = _told(error)
                        log.info("discovery.retrying", account_id=account.account_id, error=last, seconds=delay)
                    await asyncio.sleep(delay)
        except TimeoutError as error:
            raise TimeoutError(f"no complete listing within {self._config.first_deadline:.0f} s: {last}") from error
        raise AssertionError("unreachable: the delays repeat for ever")

    async def _list_once(
        self, account: Account, session: AccountSession, scanned: dict[str, ScanResult] | None
    ) -> Listing:
        """List every region not in `scanned` yet, adding to it; raise the first error that leaves one unlisted."""
        scanned = {} if scanned is None else scanned
        regions, excluded = await self.regions_of(account, session)
        owed = [region for region in regions if region not in scanned]
        outcomes = await settled(
            (self.scan_ec2_instances(session, account.id, self._db, region) for region in owed),
            limit=self._config.concurrency,
        )
        by_region = dict(zip(owed, outcomes, strict=True))
        scanned.update({region: outcome.value for region, outcome in by_region.items() if outcome.value is not None})
        denied = {region: _told(error) for region, error in _errors(by_region) if is_region_denied(error)}
        for region, error in _errors(by_region):
            if region not in denied or not scanned:
                raise error
        return Listing(scans=tuple(scanned.values()), excluded=excluded | denied)

    async def _activate(self, account: Account) -> None:
        await accounts.transition(self._db, account.id, Status.ACTIVE, now=self._clock.now())
        log.info("discovery.completed", account_id=account.account_id)
        self._changes.publish("account.status", account_id=account.account_id, status=Status.ACTIVE.value)
        self._changes.publish("discovery.completed", account_id=account.account_id)
        self._on_active()

    async def _fail(self, account: Account, error: Exception) -> None:
        """Write the outcome even while the daemon is stopping."""
        log.warning("discovery.failed", account_id=account.account_id, error=_told(error), exc_info=_bug(error))
        failed = accounts.transition(self._db, account.id, Status.FAILED, now=self._clock.now(), error=_told(error))
        await sheltered(failed)
        self._changes.publish("account.status", account_id=account.account_id, status=Status.FAILED.value)

    async def _report_health(self, account: Account) -> None:
        """Check health at once, so that nobody has to wait for the next tick; it never fails the discovery."""
        log.info("discovery.health_check_started", account_id=account.account_id)
        [checked] = await settled([self._checked()], limit=1)
        if checked.value is None:
            log.warning("discovery.health_check_failed", account_id=account.account_id, error=_told(checked.error))
            return
        log.info("discovery.health_checked", account_id=account.account_id, components=checked.value)

    async def _checked(self) -> dict[str, str]:
        components = await self._check_health()
        return {name: str(getattr(health, "status", health)) for name, health in components.items()}


def require_rediscoverable(account: Account) -> None:
    """Raise Conflict, naming what to do, unless the account is active."""
    if account.status in {Status.PENDING, Status.FAILED}:
        raise Conflict(f"account {account.account_id} is {account.status}: reconnect it first (POST /connect)")
    if account.status is not Status.ACTIVE:
        raise Conflict(f"account {account.account_id} is {account.status}: its first discovery is under way")


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed later: AWS is slow, busy or broken, not the account."""
    return isinstance(error, TimeoutError) or (
        isinstance(error, AwsError) and error.trouble in {Trouble.TRANSIENT, Trouble.THROTTLED}
    )


def is_region_denied(error: Exception) -> bool:
    """Whether one region refuses a caller that other regions may well accept; bad credentials are bad everywhere."""
    return isinstance(error, AwsError) and error.denial not in {None, Denial.CREDENTIALS}


def region_excluded(region: str, reason: str, now: datetime) -> Condition:
    """Return the condition that says why a region is left out."""
    return Condition(type=f"RegionExcluded/{region}", status=True, reason="Denied", message=reason, observed_at=now)


def _errors(by_region: Mapping[str, Outcome[ScanResult]]) -> Iterable[tuple[str, Exception]]:
    return [(region, outcome.error) for region, outcome in by_region.items() if outcome.error is not None]


def _told(error: Exception | None) -> str:
    return str(error) or type(error).__name__


def _bug(error: Exception) -> Exception | None:
    return None if isinstance(error, AwsError | TimeoutError) else error

"""One region of one account: list it, store what changed, end what is gone."""

from contextlib import suppress
from datetime import datetime

import structlog
from msgspec import Struct

from spotd.aws import instances as ec2
from spotd.aws.errors import AwsError
from spotd.aws.session import AccountSession
from spotd.clock import Clock, SystemClock
from spotd.errors import StoreUnavailable
from spotd.loops.supervisor import sheltered
from spotd.model.account import Condition
from spotd.store import accounts, scopes
from spotd.store import instances as inventory
from spotd.store.db import Database

log = structlog.get_logger(__name__)

MANAGED_TAG = "spotd:managed=true"


class ScanResult(Struct, frozen=True, kw_only=True):
    """What one complete pass over a region found."""

    region: str
    seen: int
    changed: int
    ended: int
    load_balancers_error: str | None = None


async def scan_ec2_instances(
    session: AccountSession,
    account_id: int,
    db: Database,
    region: str,
    *,
    managed_tag: str = MANAGED_TAG,
    clock: Clock | None = None,
) -> ScanResult:
    """List one region and bring the inventory in line with it; `account_id` is `accounts.id`.

    Only a complete listing ends what it did not see; a failed pass leaves every row as it was, marks the scope and
    raises what failed.
    """
    clock = clock or SystemClock()
    generation = await scopes.begin(db, account_id, region, now=clock.now())
    try:
        changed, seen = await _store_pages(session, db, (account_id, region, generation), managed_tag, clock)
        ended = await inventory.close_pass(db, account_id, region, generation, seen_ids=seen, now=clock.now())
    except (AwsError, TimeoutError) as error:
        with suppress(StoreUnavailable):
            await sheltered(_mark_failed(db, (account_id, region, generation), error, clock.now()))
        raise
    problem = await _note_load_balancers(session, db, account_id, region, clock) if seen else None
    return ScanResult(region=region, seen=len(seen), changed=changed, ended=ended, load_balancers_error=problem)


async def _store_pages(
    session: AccountSession, db: Database, scope: tuple[int, str, int], managed_tag: str, clock: Clock
) -> tuple[int, set[str]]:
    """Upsert each page as it comes; return how many rows changed and every id seen."""
    account_id, region, generation = scope
    changed, seen = 0, set[str]()
    async for page in ec2.list_instances(session, region, managed_tag):
        seen.update(instance.instance_id for instance in page.instances)
        changed += await inventory.upsert_changed(db, account_id, region, generation, page.instances, now=clock.now())
    return changed, seen


async def _note_load_balancers(
    session: AccountSession, db: Database, account_id: int, region: str, clock: Clock
) -> str | None:
    """Store which load balancers serve each instance; what AWS refuses here becomes a condition, it is not raised."""
    kind = f"LoadBalancersReadable/{region}"
    try:
        membership = await ec2.load_balancers_of(session, region)
    except (AwsError, TimeoutError) as error:
        await accounts.set_condition(db, account_id, _unreadable(kind, error, clock.now()))
        return str(error)
    await inventory.set_load_balancers(db, account_id, region, membership, now=clock.now())
    if any(condition.type == kind for condition in (await accounts.get(db, account_id)).conditions):
        await accounts.clear_condition(db, account_id, kind)
    return None


def _unreadable(kind: str, error: Exception, now: datetime) -> Condition:
    reason = getattr(error, "code", type(error).__name__)
    return Condition(type=kind, status=False, reason=reason, message=str(error), observed_at=now)


async def _mark_failed(db: Database, scope: tuple[int, str, int], error: Exception, now: datetime) -> None:
    account_id, region, generation = scope
    await scopes.fail(db, account_id, region, generation, error=str(error) or type(error).__name__, now=now)

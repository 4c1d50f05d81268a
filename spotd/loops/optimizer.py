"""The optimizer's loop: a snapshot of each account, a decision on it, and what changed by it."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import msgspec
import structlog
from msgspec import Struct

from spotd.changes import Changes
from spotd.clock import Clock
from spotd.config import OptimizerConfig
from spotd.engine.optimizer import decide
from spotd.engine.policy import Policy
from spotd.errors import Conflict, NotFound
from spotd.model import fleet as names
from spotd.model.account import Account, Status
from spotd.model.advice import Advice, Decision
from spotd.store import accounts, fleet, passes, recommendations
from spotd.store.db import Database

log = structlog.get_logger(__name__)


class OptimizerResult(Struct, frozen=True, kw_only=True):
    """What one run advised, over how many accounts, and how many pieces of advice came or went."""

    accounts: int = 0
    recommended: int = 0
    refused: int = 0
    changed: int = 0


class Optimizer:
    """Decides for every active account, one after the other."""

    def __init__(self, *, db: Database, config: OptimizerConfig, clock: Clock, changes: Changes) -> None:
        self._db = db
        self._policy = policy_of(config)
        self._ttl = timedelta(seconds=config.recommendation_ttl)
        self._clock = clock
        self._changes = changes

    async def tick(self) -> OptimizerResult:
        """Advise on every active account; raises StoreUnavailable, after which earlier accounts' advice stands."""
        active = [one for one in await accounts.all_accounts(self._db) if one.status is Status.ACTIVE]
        results = [await self._advise(account) for account in active]
        await recommendations.expire(self._db, now=self._clock.now())
        await passes.succeeded(self._db, names.OPTIMIZER, now=self._clock.now())
        return self._told(results)

    async def _advise(self, account: Account) -> OptimizerResult:
        """Decide for one account and store its advice in place of what stood before; one just removed has none."""
        try:
            advice = await self._decide(account)
            replaced = await recommendations.replace(self._db, account.id, advice, now=self._clock.now(), ttl=self._ttl)
        except (NotFound, Conflict):
            log.info("optimizer.account_removed", account_id=account.account_id)
            return OptimizerResult()
        recommended = sum(one.verdict is Decision.RECOMMENDED for one in advice)
        changed = replaced.opened + replaced.superseded
        return OptimizerResult(accounts=1, recommended=recommended, refused=len(advice) - recommended, changed=changed)

    async def _decide(self, account: Account) -> tuple[Advice, ...]:
        """Decide in a thread: a market has tens of thousands of rows, however few the instances are."""
        facts = await fleet.snapshot(self._db, account.id)
        return await asyncio.to_thread(decide, facts, self._policy, self._clock.now())

    def _told(self, results: Iterable[OptimizerResult]) -> OptimizerResult:
        """Add up what was advised and tell who listens if any of it is news."""
        facts = [msgspec.structs.asdict(one) for one in results]
        total = OptimizerResult(**{name: sum(one[name] for one in facts) for name in OptimizerResult.__struct_fields__})
        if total.changed:
            told = {"recommended": total.recommended, "refused": total.refused, "changed": total.changed}
            log.info("optimizer.advised", **told)
            self._changes.publish("recommendations", **told)
        return total


def policy_of(config: OptimizerConfig) -> Policy:
    """Return the policy that the configuration describes."""
    return Policy(
        max_interruption_band=config.max_interruption_band,
        min_saving_percent=config.min_saving_percent,
        spot_max_age=config.spot_price_max_age,
        on_demand_max_age=config.on_demand_max_age,
        advisor_max_age=config.advisor_max_age,
    )

"""The optimizer's loop: a snapshot of each account, a decision on it, and what changed by it."""

import asyncio

import structlog
from msgspec import Struct

from spotd.changes import Changes
from spotd.clock import Clock
from spotd.config import OptimizerConfig
from spotd.engine.optimizer import decide
from spotd.engine.policy import Policy
from spotd.errors import NotFound
from spotd.model import fleet as names
from spotd.model.account import Account, Status
from spotd.model.advice import Advice, Decision
from spotd.store import accounts, fleet, passes, recommendations
from spotd.store.db import Database

log = structlog.get_logger(__name__)

FEW = 50
"""Up to so many instances a decision takes a few milliseconds and is not worth a thread."""


class OptimizerResult(Struct, frozen=True, kw_only=True):
    """What one run advised, over how many accounts, and how many pieces of advice are new."""

    accounts: int
    recommended: int
    refused: int
    changed: int


class Optimizer:
    """Decides for every active account, one after the other."""

    def __init__(self, *, db: Database, config: OptimizerConfig, clock: Clock, changes: Changes) -> None:
        self._db = db
        self._policy = policy_of(config)
        self._ttl = config.recommendation_ttl
        self._clock = clock
        self._changes = changes

    async def tick(self) -> OptimizerResult:
        """Advise on every active account; raises StoreUnavailable, after which earlier accounts' advice stands."""
        active = [one for one in await accounts.all_accounts(self._db) if one.status is Status.ACTIVE]
        advised: list[Advice] = []
        changed = 0
        for account in active:
            advice = await self._decide(account)
            changed += await self._keep(account, advice)
            advised += advice
        await recommendations.expire(self._db, now=self._clock.now())
        await passes.succeeded(self._db, names.OPTIMIZER, now=self._clock.now())
        return self._told(len(active), advised, changed)

    async def _decide(self, account: Account) -> tuple[Advice, ...]:
        facts = await fleet.snapshot(self._db, account.id)
        now = self._clock.now()
        if len(facts.instances) <= FEW:
            return decide(facts, self._policy, now)
        return await asyncio.to_thread(decide, facts, self._policy, now)

    async def _keep(self, account: Account, advice: tuple[Advice, ...]) -> int:
        """Store an account's advice in place of what stood before; return how many pieces are new."""
        try:
            return await recommendations.replace(self._db, account.id, advice, now=self._clock.now(), ttl=self._ttl)
        except NotFound:
            log.info("optimizer.account_removed", account_id=account.account_id)
            return 0

    def _told(self, number: int, advised: list[Advice], changed: int) -> OptimizerResult:
        recommended = sum(one.verdict is Decision.RECOMMENDED for one in advised)
        result = OptimizerResult(
            accounts=number, recommended=recommended, refused=len(advised) - recommended, changed=changed
        )
        if changed:
            log.info("optimizer.advised", recommended=recommended, refused=result.refused, changed=changed)
            self._changes.publish("recommendations", recommended=recommended, refused=result.refused, changed=changed)
        return result


def policy_of(config: OptimizerConfig) -> Policy:
    """Return the policy that the configuration describes."""
    return Policy(
        max_interruption_band=config.max_interruption_band,
        min_saving_percent=config.min_saving_percent,
        spot_max_age=config.spot_price_max_age,
        on_demand_max_age=config.on_demand_max_age,
        advisor_max_age=config.advisor_max_age,
    )

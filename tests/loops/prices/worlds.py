"""A scraper with a real store, the real AWS edge, and a fake AWS with a market behind it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

import aiohttp

from spotd.aws.session import AccountSession, Aws
from spotd.changes import Changes
from spotd.config import PricesConfig
from spotd.loops.prices import PriceScraper
from spotd.model.account import AccessKeys, Account, Status
from spotd.model.instance import Instance, State
from spotd.store import accounts, instances, scopes
from spotd.store.db import Database
from tests.aws.fakes import FakeAws
from tests.loops.prices.markets import FakeMarket


class HandClock:
    """A wall clock that a test moves by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time

    def forward(self, **by: float) -> None:
        """Move on, by `timedelta`'s names."""
        self.time += timedelta(**by)


@dataclass
class World:
    """Everything around one scraper; its access key ids are `AK` and the account's id."""

    db: Database
    aws: Aws
    http: aiohttp.ClientSession
    fake: FakeAws
    market: FakeMarket
    clock: HandClock
    changes: Changes

    @cached_property
    def scraper(self) -> PriceScraper:
        """A scraper with the default configuration."""
        return self.build()

    def build(self, *, budget_usd: float = 10.0) -> PriceScraper:
        """Build a scraper that may cost so much."""
        return PriceScraper(
            db=self.db,
            sessions=self.session_for,
            http=self.http,
            config=PricesConfig(advisor_url=f"{self.fake.endpoint}/advisor"),
            budget_usd=budget_usd,
            clock=self.clock,
            changes=self.changes,
        )

    async def session_for(self, account: Account) -> AccountSession:
        """Return the session that signs as an account."""
        keys = AccessKeys(access_key_id=f"AK{account.account_id}", secret_access_key="secret")
        return self.aws.session_for(account.account_id, keys)

    async def onboard(
        self, account_id: str = "111111111111", *regions: str, types: tuple[str, ...] = ("m5.large",)
    ) -> Account:
        """Store an active account with a running instance of each type in each region."""
        now = self.clock.now()
        account = await accounts.create_pending(self.db, account_id=account_id, name="a", external_id="x", now=now)
        await accounts.transition(self.db, account.id, Status.CONNECTED, now=now)
        for region in regions or ("us-east-1",):
            await self.listed(account, region, types)
        return await accounts.transition(self.db, account.id, Status.ACTIVE, now=now)

    async def listed(self, account: Account, region: str, types: tuple[str, ...]) -> None:
        """Store one complete pass over a region: one opted-in instance of each type, in zone a."""
        now = self.clock.now()
        generation = await scopes.begin(self.db, account.id, region, now=now)
        found = [instance(account, region, n, name) for n, name in enumerate(types)]
        await instances.upsert_changed(self.db, account.id, region, generation, found, now=now)
        seen = {one.instance_id for one in found}
        await instances.close_pass(self.db, account.id, region, generation, seen_ids=seen, now=now)


def instance(account: Account, region: str, number: int, name: str) -> Instance:
    """A running, opted-in instance in the region's zone a."""
    return Instance(
        instance_id=f"i-{account.id:08x}{number:09x}",
        account_id=account.account_id,
        region=region,
        availability_zone=f"{region}a",
        instance_type=name,
        state=State.RUNNING,
        managed=True,
        architecture="x86_64",
        virtualization="hvm",
        ena=True,
    )

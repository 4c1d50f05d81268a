"""One function for each thing read: ask, store, return how many rows were read. None of them catches anything."""

from collections.abc import Collection
from datetime import timedelta

import aiohttp

from spotd.aws.errors import MalformedReply
from spotd.aws.instances import list_instance_types
from spotd.aws.metrics import cpu_usage
from spotd.aws.prices import on_demand_prices, spot_advisor, spot_price_history
from spotd.aws.session import AccountSession
from spotd.clock import Clock
from spotd.loops.prices.demand import Demand
from spotd.store import market
from spotd.store.db import Database

OVERLAP = timedelta(minutes=10)
"""Read again at each pass: AWS publishes a price change some minutes after its own time."""


class MarketSources:
    """The reads, with what all of them need."""

    def __init__(self, db: Database, http: aiohttp.ClientSession, clock: Clock) -> None:
        self._db = db
        self._http = http
        self._clock = clock

    async def instance_types(self, session: AccountSession, region: str) -> int:
        """Read what every type of a region offers."""
        types = await list_instance_types(session, region)
        await market.record_types(self._db, types, now=self._clock.now())
        return len(types)

    async def spot(self, session: AccountSession, demand: Demand, types: Collection[str], history: float) -> int:
        """Read a region's Spot prices since the newest known one; at most `history` seconds back.

        AWS adds the price in force at the start of the window, so each pass confirms each pool.
        """
        now = self._clock.now()
        newest = await market.last_spot_price(self._db, demand.region)
        earliest = now - timedelta(seconds=history)
        start = earliest if newest is None else max(earliest, newest - OVERLAP)
        read = 0
        async for page in spot_price_history(
            session, demand.region, instance_types=types, products=demand.products, start=start, end=now
        ):
            await market.record_spot(self._db, page)
            read += len(page)
        return read

    async def on_demand(self, session: AccountSession, demand: Demand) -> int:
        """Read the on-demand prices of the types a region's instances have."""
        prices = await on_demand_prices(session, demand.region, demand.types, products=demand.products)
        await market.record_on_demand(self._db, prices)
        return len(prices)

    async def advisor(self, url: str) -> int:
        """Read the interruption bands; raises MalformedReply if the feed has another shape than the known one."""
        feed = await spot_advisor(self._http, url, now=self._clock.now())
        if feed.problem is not None:
            raise MalformedReply("", feed.problem)
        await market.replace_advisor(self._db, feed.rates)
        return len(feed.rates)

    async def cpu(self, account_id: int, region: str, instance_ids: Collection[str], session: AccountSession) -> int:
        """Read a day of CPU use of an account's running instances in a region."""
        usage = await cpu_usage(session, region, instance_ids, now=self._clock.now())
        await market.record_cpu(self._db, account_id, usage.values())
        return len(usage)

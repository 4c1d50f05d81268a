"""The price scraper: one pass reads what is due, each source for itself, and says what came of each."""

import asyncio
from collections.abc import Iterable, Mapping

import aiohttp
import structlog
from msgspec import Struct

from spotd.aws.errors import MalformedReply
from spotd.aws.session import AccountSession
from spotd.changes import Changes
from spotd.clock import Clock
from spotd.config import PricesConfig
from spotd.errors import SpotdError
from spotd.loops.prices.demand import Demand, demands, holding, holdings, widened
from spotd.loops.prices.readings import Done, Planner, Reading, Sessions
from spotd.loops.prices.sources import MarketSources
from spotd.loops.supervisor import settled
from spotd.model import fleet as names
from spotd.model.account import Account
from spotd.store import market, passes
from spotd.store.db import Database

log = structlog.get_logger(__name__)

AT_ONCE = 8
DEADLINE = 120.0
"""Seconds one source may take: a region's whole price list has dozens of pages."""
FIRST_DEADLINE = 8.0
"""Seconds one source may take while an account waits to become active."""


class PricesResult(Struct, frozen=True, kw_only=True):
    """What one pass came to: rows read by source, and why a source failed."""

    read: Mapping[str, int]
    failed: Mapping[str, str]


class PriceScraper:
    """Reads the market for all accounts; what is public is asked once per region, as any account that is there.

    `budget_usd` is what AWS may charge a month for being asked.
    """

    def __init__(
        self,
        *,
        db: Database,
        sessions: Sessions,
        http: aiohttp.ClientSession,
        config: PricesConfig,
        budget_usd: float,
        clock: Clock,
        changes: Changes,
    ) -> None:
        self._db = db
        self._sessions = sessions
        self._clock = clock
        self._changes = changes
        self._planner = Planner(MarketSources(db, http, clock), config, budget_usd=budget_usd)
        self._failing: set[str] = set()

    async def tick(self) -> PricesResult:
        """Read every source that is due; raises only if sources were due and none could be read."""
        held = await holdings(self._db)
        wanted, done = demands(held), await passes.last_good(self._db)
        wide = self._planner.market_wide(wanted, done, self._clock.now())
        first = await self._read_all(wide, self._sessions, DEADLINE)
        regional = [*await self._regional(wanted, done), *self._planner.cpu(held, done, self._clock.now())]
        result = _merged(first, await self._read_all(regional, self._sessions, DEADLINE))
        await self._conclude(result)
        return result

    async def first_scan(self, account: Account, session: AccountSession, found: Mapping[str, int]) -> None:
        """Read, once and within seconds, the prices and CPU of the regions where an account has instances.

        `found` counts them by region. What fails stays unknown until a later pass; nothing is raised for it.
        """
        held = await holding(self._db, account)
        wanted = [demand for demand in demands([held]) if found.get(demand.region)]
        done, now = await passes.last_good(self._db), self._clock.now()
        readings = [self._planner.spot(demand, demand.types) for demand in wanted]
        readings += [reading for demand in wanted for reading in self._planner.on_demand(demand, done, now)]
        readings += self._planner.cpu([held], done, now)

        async def given(_: Account) -> AccountSession:
            return session

        await self._read_all(readings, given, FIRST_DEADLINE)

    async def _regional(self, wanted: Iterable[Demand], done: Done) -> list[Reading]:
        known, now = await market.instance_types(self._db), self._clock.now()
        readings: list[Reading] = []
        for demand in wanted:
            readings.append(self._planner.spot(demand, await asyncio.to_thread(widened, demand.types, known)))
            readings += self._planner.on_demand(demand, done, now)
        return readings

    async def _read_all(self, readings: Iterable[Reading], sessions: Sessions, deadline: float) -> PricesResult:
        chosen = list(readings)
        outcomes = await settled((self._read(one, sessions, deadline) for one in chosen), limit=AT_ONCE)
        pairs = [(reading.source, outcome) for reading, outcome in zip(chosen, outcomes, strict=True)]
        return PricesResult(
            read={source: outcome.value for source, outcome in pairs if outcome.value is not None},
            failed={source: _told(outcome.error) for source, outcome in pairs if outcome.error is not None},
        )

    async def _read(self, reading: Reading, sessions: Sessions, deadline: float) -> int:
        """Read one source and remember how that went; the deadline counts from when its turn comes."""
        try:
            async with asyncio.timeout(deadline):
                count = await reading.run(sessions)
        except (SpotdError, TimeoutError, OSError) as error:
            await self._failed(reading.source, error)
            raise
        await passes.succeeded(self._db, reading.source, now=self._clock.now())
        self._recovered(reading.source)
        return count

    def _recovered(self, source: str) -> None:
        if source in self._failing:
            self._failing.discard(source)
            log.info("prices.source_recovered", source=source)

    async def _failed(self, source: str, error: Exception) -> None:
        """Log the edge and keep the error; what is not of its known shape is told apart from what cannot be had."""
        if source not in self._failing:
            self._failing.add(source)
            log.warning("prices.source_failed", source=source, error=_told(error))
        misshapen = isinstance(error, MalformedReply)
        await passes.failed(self._db, source, error=_told(error), misshapen=misshapen, now=self._clock.now())

    async def _conclude(self, result: PricesResult) -> None:
        """Remember the pass as a whole and tell who listens."""
        if result.failed and not result.read:
            source, error = next(iter(result.failed.items()))
            raise SpotdError(f"no prices could be read; {source}: {error}")
        await passes.succeeded(self._db, names.PRICES, now=self._clock.now())
        if result.read:
            self._changes.publish("prices", sources=sorted(result.read))


def _merged(one: PricesResult, other: PricesResult) -> PricesResult:
    return PricesResult(read={**one.read, **other.read}, failed={**one.failed, **other.failed})


def _told(error: Exception | None) -> str:
    return str(error) or type(error).__name__

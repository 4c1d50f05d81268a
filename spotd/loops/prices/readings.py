"""What a pass reads: each source with the way to ask for it, chosen by what is due."""

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from spotd.aws.errors import AwsError
from spotd.aws.session import AccountSession
from spotd.config import PricesConfig
from spotd.engine.upkeep import cpu_interval, is_due
from spotd.errors import NotFound
from spotd.loops.prices.demand import Demand, Holding
from spotd.loops.prices.sources import MarketSources
from spotd.model import fleet as names
from spotd.model.account import Account

Sessions = Callable[[Account], Awaitable[AccountSession]]
"""Gives the session that signs as an account."""

Ask = Callable[[AccountSession], Coroutine[Any, Any, int]]
Done = Mapping[str, datetime]
"""When each source was last read well."""


class Reading(Struct, frozen=True):
    """One source to read; `run` returns how many rows were read."""

    source: str
    run: Callable[[Sessions], Coroutine[Any, Any, int]]


async def as_any(accounts: Collection[Account], ask: Ask, sessions: Sessions) -> int:
    """Ask for something public as one account after the other, until one may; raises what the last one met."""
    refused: AwsError | None = None
    for account in accounts:
        try:
            return await ask(await sessions(account))
        except AwsError as error:
            refused = error
    raise refused or NotFound("no account to ask as")


class Planner:
    """Chooses what to read and says how."""

    def __init__(self, sources: MarketSources, config: PricesConfig, *, budget_usd: float) -> None:
        self._sources = sources
        self._config = config
        self._budget_usd = budget_usd
        self._asked: dict[str, frozenset[str]] = {}

    def market_wide(self, wanted: Collection[Demand], done: Done, now: datetime) -> Iterator[Reading]:
        """Type facts, which are the same everywhere, and the Advisor feed, if there is anything to use them for."""
        if not wanted:
            return
        if is_due(done.get(names.ADVISOR), self._config.advisor_interval, now):
            yield Reading(names.ADVISOR, self._advisor)
        if is_due(done.get(names.INSTANCE_TYPES), self._config.on_demand_interval, now):
            yield Reading(names.INSTANCE_TYPES, partial(self._instance_types, wanted))

    def spot(self, demand: Demand, types: Collection[str]) -> Reading:
        """A region's Spot prices of these types."""

        def ask(session: AccountSession) -> Coroutine[Any, Any, int]:
            return self._sources.spot(session, demand, types, self._config.history)

        return Reading(names.spot_prices(demand.region), partial(as_any, demand.accounts, ask))

    def on_demand(self, demand: Demand, done: Done, now: datetime) -> Iterator[Reading]:
        """A region's on-demand prices, daily, and when a type appears that was not asked for yet."""
        source = names.on_demand_prices(demand.region)
        new = not demand.types <= self._asked.get(demand.region, frozenset())
        if not new and not is_due(done.get(source), self._config.on_demand_interval, now):
            return

        async def ask(session: AccountSession) -> int:
            count = await self._sources.on_demand(session, demand)
            self._asked[demand.region] = demand.types
            return count

        yield Reading(source, partial(as_any, demand.accounts, ask))

    def cpu(self, held: Collection[Holding], done: Done, now: datetime) -> Iterator[Reading]:
        """CPU use of what runs, by account and region, as often as the budget allows."""
        places = [(one.account, region, ids) for one in held for region, ids in sorted(one.running.items())]
        number = sum(len(ids) for _, _, ids in places)
        interval = cpu_interval(number, self._config.cpu_interval, self._budget_usd)
        for account, region, ids in places if interval is not None else ():
            source = names.cpu_usage(account.id, region)
            if is_due(done.get(source), interval or 0.0, now):
                ask = partial(self._sources.cpu, account.id, region, ids)
                yield Reading(source, partial(as_any, [account], ask))

    async def _advisor(self, _sessions: Sessions) -> int:
        return await self._sources.advisor(self._config.advisor_url)

    async def _instance_types(self, wanted: Collection[Demand], sessions: Sessions) -> int:
        """Ask in the region where most types are in use: it is the likeliest to offer them all."""
        richest = max(wanted, key=lambda demand: (len(demand.types), demand.region))

        def ask(session: AccountSession) -> Coroutine[Any, Any, int]:
            return self._sources.instance_types(session, richest.region)

        return await as_any(richest.accounts, ask, sessions)

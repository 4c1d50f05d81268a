"""The fleet in figures. What is not known is None, never zero; an `account_id` is the 12 digits, None for all."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from spotd.model.account import Status
from spotd.model.instance import Lifecycle, State
from spotd.store import accounts
from spotd.store.db import Executor
from spotd.store.db.values import maybe_when
from spotd.store.statements import load

SQL = load("overview")


class Counts(Struct, frozen=True, kw_only=True):
    """How many accounts there are by status, and instances that are not gone by state and by lifecycle."""

    accounts: Mapping[Status, int]
    by_state: Mapping[State, int]
    by_lifecycle: Mapping[Lifecycle, int]

    @property
    def instances(self) -> int:
        """How many instances are not gone."""
        return sum(self.by_state.values())


class Cost(Struct, frozen=True, kw_only=True):
    """What the running instances cost per hour in micro-dollars, as far as it is known.

    `unpriced` of the `running` instances have no price: of a type never asked for, not of shared tenancy, or bought
    ahead. `micros_per_hour` is None when none has one. `oldest` is the oldest price used.
    """

    running: int
    unpriced: int
    micros_per_hour: int | None
    oldest: datetime | None


class Cpu(Struct, frozen=True, kw_only=True):
    """How busy the `measured` ones of the running instances are, on average; None when none was measured."""

    measured: int
    percent: float | None
    oldest: datetime | None


class Overview(Struct, frozen=True, kw_only=True):
    """Everything in figures, at one moment."""

    counts: Counts
    cost: Cost
    cpu: Cpu


async def read(db: Executor, account_id: str | None = None) -> Overview:
    """Return all figures, of one account or of all.

    Of a hundred thousand instances they take a good fraction of a second: read in a snapshot, they hold up nobody.
    """
    return Overview(counts=await counts(db, account_id), cost=await cost(db, account_id), cpu=await cpu(db, account_id))


async def counts(db: Executor, account_id: str | None = None) -> Counts:
    """Count accounts and instances."""
    sql, args = SQL.filtered("count_instances", account_id=account_id)
    by_state: dict[State, int] = {}
    by_lifecycle: dict[Lifecycle, int] = {}
    for row in await db.fetch(sql, *args):
        state, lifecycle, number = State(row["state"]), Lifecycle(row["lifecycle"]), int(row["number"])
        by_state[state] = by_state.get(state, 0) + number
        by_lifecycle[lifecycle] = by_lifecycle.get(lifecycle, 0) + number
    return Counts(accounts=await accounts.count_by_status(db, account_id), by_state=by_state, by_lifecycle=by_lifecycle)


async def cost(db: Executor, account_id: str | None = None) -> Cost:
    """Add up what runs: Spot at its pool's newest price, on-demand at the public price of its type."""
    sql, args = SQL.filtered("running_costs", account_id=account_id)
    rows = await db.fetch(sql, *args)
    known = [int(row["micros"]) for row in rows if row["micros"] is not None]
    times = [when for row in rows if (when := maybe_when(row["oldest"])) is not None]
    return Cost(
        running=sum(int(row["number"]) for row in rows),
        unpriced=sum(int(row["unpriced"]) for row in rows),
        micros_per_hour=sum(known) if known else None,
        oldest=min(times, default=None),
    )


async def cpu(db: Executor, account_id: str | None = None) -> Cpu:
    """Average the CPU of what runs and was measured."""
    sql, args = SQL.filtered("cpu_of_running", account_id=account_id)
    row = await db.fetch_one(sql, *args)
    assert row is not None
    percent = None if row["percent"] is None else float(row["percent"])
    return Cpu(measured=row["measured"], percent=percent, oldest=maybe_when(row["oldest"]))

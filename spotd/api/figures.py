"""The overview: figures with their ages, and a reason wherever there is none."""

from datetime import datetime

from msgspec import Struct

from spotd.api.wire import Age, Counts, Overview
from spotd.model.account import Status
from spotd.store.overview import Cost, Cpu
from spotd.store.overview import Counts as StoredCounts
from spotd.store.overview import Overview as Known

HOURS_PER_MONTH = 730


class Figures(Struct, frozen=True, kw_only=True):
    """What the store knows of a fleet.

    `scanned_at` is when the scope that is behind most was completely listed, `priced_at` when the prices that are
    behind most were read: a price that AWS has not changed for days is as fresh as the last look at it.
    """

    known: Known
    scanned_at: datetime | None
    priced_at: datetime | None


NOTHING = Figures(
    known=Known(
        counts=StoredCounts(accounts={}, by_state={}, by_lifecycle={}),
        cost=Cost(running=0, unpriced=0, micros_per_hour=None, oldest=None),
        cpu=Cpu(measured=0, percent=None, oldest=None),
    ),
    scanned_at=None,
    priced_at=None,
)
"""What is known of no account."""


def overview(figures: Figures, now: datetime) -> Overview:
    """Return the overview; what is not known is null with its reason, and only a fleet known to be empty costs zero."""
    per_hour, cost_age = _cost(figures, now)
    return Overview(
        counts=Counts(
            accounts=sum(figures.known.counts.accounts.values()),
            instances=figures.known.counts.instances,
            by_state=figures.known.counts.by_state,
            by_lifecycle=figures.known.counts.by_lifecycle,
        ),
        cost_micros_per_hour=per_hour,
        cost_micros_per_month=None if per_hour is None else per_hour * HOURS_PER_MONTH,
        cpu_percent=figures.known.cpu.percent,
        ages={
            "counts": _age(figures.scanned_at, now, _unscanned(figures)),
            "cost_micros_per_hour": cost_age,
            "cost_micros_per_month": cost_age,
            "cpu_percent": _age(figures.known.cpu.oldest, now, _unmeasured(figures)),
        },
    )


def _cost(figures: Figures, now: datetime) -> tuple[int | None, Age]:
    cost = figures.known.cost
    if cost.micros_per_hour is not None:
        return cost.micros_per_hour, _age(figures.priced_at or cost.oldest, now, _unpriced(cost))
    if cost.running:
        return None, _age(None, now, _unpriced(cost))
    if figures.known.counts.accounts.get(Status.ACTIVE):
        return 0, _age(figures.scanned_at, now, "nothing runs")
    return None, _age(None, now, _unscanned(figures))


def _age(at: datetime | None, now: datetime, reason: str | None) -> Age:
    return Age(age_seconds=None if at is None else max(0.0, (now - at).total_seconds()), reason=reason)


def _unpriced(cost: Cost) -> str | None:
    return f"{cost.unpriced} of {cost.running} running instances have no known price" if cost.unpriced else None


def _unmeasured(figures: Figures) -> str | None:
    running, measured = figures.known.cost.running, figures.known.cpu.measured
    if not running:
        return _unscanned(figures) or "nothing runs"
    return f"{running - measured} of {running} running instances were not measured yet" if measured < running else None


def _unscanned(figures: Figures) -> str | None:
    accounts = figures.known.counts.accounts
    if not sum(accounts.values()):
        return "no account is connected yet"
    owed = accounts.get(Status.CONNECTED, 0)
    if owed:
        return f"the first discovery of {owed} accounts is under way"
    return None if accounts.get(Status.ACTIVE) else "no account was discovered yet"

"""When something is to be read again, and what asking may cost."""

from datetime import datetime, timedelta

MICROS_PER_CPU_READ = 20
"""CloudWatch bills $0.01 per 1,000 metrics (https://aws.amazon.com/cloudwatch/pricing); average and peak are two."""

MONTH = 30 * 24 * 3600.0


def is_due(last_ok: datetime | None, interval: float, now: datetime) -> bool:
    """Whether what was last read well at `last_ok` is to be read again; `interval` is in seconds."""
    return last_ok is None or now - last_ok >= timedelta(seconds=interval)


def cpu_interval(running: int, interval: float, budget_usd: float) -> float | None:
    """Return the seconds between CPU reads of that many instances that a month's budget allows; None for never.

    Where the budget does not pay for the wanted interval, reads become rarer rather than stop.
    """
    if budget_usd <= 0:
        return None
    dollars = running * MICROS_PER_CPU_READ / 1_000_000
    return max(interval, MONTH * dollars / budget_usd)

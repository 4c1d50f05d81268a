"""Money: integers of micro-dollars, and nothing else, so that equal prices give equal sums."""

HOURS_PER_MONTH = 730
"""AWS's own month: 365 × 24 / 12."""


def per_month(micros_per_hour: int) -> int:
    """Return what an hourly amount comes to in a month."""
    return micros_per_hour * HOURS_PER_MONTH


def percent(part: int, whole: int) -> float:
    """Return `part` in percent of `whole`, rounded down to one decimal; 0 of nothing."""
    return part * 1000 // whole / 10 if whole > 0 else 0.0


def risk_adjusted(on_demand: int, spot: int, band: int, *, penalty_percent: int) -> int:
    """Return the hourly saving less what the pool's interruption band costs: the number pools are ranked by."""
    return on_demand - spot - on_demand * band * penalty_percent // 100

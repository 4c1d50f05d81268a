from datetime import UTC, datetime, timedelta

import pytest

from spotd.engine.upkeep import MONTH, cpu_interval, is_due

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = 86_400.0


def test_is_due() -> None:
    """What was never read is due at once, the rest when its interval is over."""
    assert is_due(None, 60, NOW)
    assert is_due(NOW - timedelta(seconds=60), 60, NOW)
    assert not is_due(NOW - timedelta(seconds=59), 60, NOW)


@pytest.mark.parametrize(
    ("running", "budget", "interval"),
    [(0, 10, DAY), (1000, 10, DAY), (50_000, 10, MONTH / 10), (1, 0, None)],
)
def test_cpu_reads_stay_within_the_budget(running: int, budget: float, interval: float | None) -> None:
    """CPU is read daily where the budget pays for it, more rarely where it does not, and never without one."""
    assert cpu_interval(running, DAY, budget) == interval

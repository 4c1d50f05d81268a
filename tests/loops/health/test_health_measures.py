import asyncio
from dataclasses import dataclass

import pytest

from spotd.config import ThresholdsConfig
from spotd.engine import thresholds
from spotd.loops.health.measures import round_trip
from spotd.model.health import ComponentState

HEALTHY, DEGRADED, CRITICAL = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.CRITICAL


@dataclass
class FarStore:
    """A store at a distance."""

    seconds: float

    async def ping(self) -> None:
        await asyncio.sleep(self.seconds)


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("milliseconds", "expected"), [(49, HEALTHY), (51, DEGRADED), (199, DEGRADED), (201, CRITICAL)]
)
async def test_a_round_trip_is_measured_and_judged_at_the_contracts_edges(
    milliseconds: float, expected: ComponentState
) -> None:
    """What the way to the store takes, and nothing else, decides on its state."""
    took = await round_trip(FarStore(milliseconds / 1000))  # type: ignore[arg-type]  # asked for its ping only

    assert took == pytest.approx(milliseconds / 1000, abs=1e-5)
    assert thresholds.database(took, ThresholdsConfig().database) is expected

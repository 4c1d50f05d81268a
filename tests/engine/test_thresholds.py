import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.config import ThresholdsConfig
from spotd.config.values import Edges
from spotd.engine import thresholds
from spotd.model.health import ComponentState

HEALTHY, DEGRADED, CRITICAL = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.CRITICAL
DEFAULTS = ThresholdsConfig()
HOUR, MINUTE = 3600.0, 60.0


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, HEALTHY), (49, HEALTHY), (50, DEGRADED), (51, DEGRADED), (199, DEGRADED), (200, CRITICAL), (201, CRITICAL)],
)
def test_the_database_is_judged_by_its_round_trip(milliseconds: float, expected: ComponentState) -> None:
    """Below 50 ms healthy, below 200 ms degraded, else critical."""
    assert thresholds.database(milliseconds / 1000, DEFAULTS.database) is expected


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(0, HEALTHY), (19, HEALTHY), (20, DEGRADED), (49, DEGRADED), (50, CRITICAL), (10**9, CRITICAL)],
)
def test_redis_is_judged_by_its_depth(depth: int, expected: ComponentState) -> None:
    """Below 20 waiting healthy, below 50 degraded, else critical."""
    assert thresholds.redis(depth, DEFAULTS.redis) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, HEALTHY), (60, DEGRADED), (61, DEGRADED), (119, DEGRADED), (120, CRITICAL), (121, CRITICAL)],
)
def test_the_watcher_is_judged_by_its_heartbeat(seconds: float, expected: ComponentState) -> None:
    """Below 60 s healthy, below 120 s degraded, else critical."""
    assert thresholds.k8s_watcher(seconds, DEFAULTS.k8s_watcher) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (10 * MINUTE - 1, HEALTHY),
        (10 * MINUTE, DEGRADED),
        (30 * MINUTE - 1, DEGRADED),
        (30 * MINUTE, CRITICAL),
        (None, DEGRADED),
    ],
)
def test_the_optimizer_is_judged_by_its_last_run(seconds: float | None, expected: ComponentState) -> None:
    """Below 10 min healthy, below 30 min or none yet degraded, else critical."""
    assert thresholds.optimizer(seconds, DEFAULTS.optimizer) is expected


@pytest.mark.parametrize(
    ("seconds", "shape_ok", "expected"),
    [
        (1199, True, HEALTHY),
        (1200, True, DEGRADED),
        (3599, True, DEGRADED),
        (3600, True, CRITICAL),
        (0, False, DEGRADED),
        (3600, False, CRITICAL),
        (None, True, CRITICAL),
    ],
)
def test_prices_are_judged_by_age_and_shape(*, seconds: float | None, shape_ok: bool, expected: ComponentState) -> None:
    """Two and six intervals are the edges; a feed that changed its shape is degraded however fresh it is."""
    edges = Edges(*(multiple * 600 for multiple in DEFAULTS.price_scraper))

    assert thresholds.price_scraper(seconds, edges, shape_ok=shape_ok) is expected


@pytest.mark.parametrize(
    ("hours", "expected"),
    [(11.99, HEALTHY), (12, DEGRADED), (23.99, DEGRADED), (24, CRITICAL), (None, CRITICAL)],
)
def test_risk_is_judged_by_the_age_of_its_data(hours: float | None, expected: ComponentState) -> None:
    """Below 12 h healthy, below 24 h degraded, else critical."""
    age = None if hours is None else hours * HOUR

    assert thresholds.risk_engine(age, DEFAULTS.risk_engine) is expected


@pytest.mark.parametrize(
    ("active", "answers", "stand_in", "expected"),
    [
        (True, True, False, HEALTHY),
        (True, True, True, HEALTHY),
        (False, True, True, DEGRADED),
        (False, True, False, CRITICAL),
        (True, False, True, CRITICAL),
        (False, False, False, CRITICAL),
    ],
)
def test_the_model_is_judged_by_what_answers(
    *,
    active: bool,
    answers: bool,
    stand_in: bool,
    expected: ComponentState,
) -> None:
    """An active model is healthy, only a candidate or the fallback degraded, none or a failing one critical."""
    assert thresholds.ml_inference(active=active, answers=answers, stand_in=stand_in) is expected


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.099, HEALTHY), (0.1, DEGRADED), (0.999, DEGRADED), (1.0, CRITICAL)]
)
def test_the_event_loop_is_judged_by_its_longest_stall(seconds: float, expected: ComponentState) -> None:
    """A tenth of a second degrades the loop, a whole one is critical."""
    assert thresholds.event_loop(seconds, DEFAULTS.event_loop) is expected


@pytest.mark.parametrize(
    ("share", "expected"), [(0, HEALTHY), (0.001, DEGRADED), (0.499, DEGRADED), (0.5, CRITICAL), (1, CRITICAL)]
)
def test_aws_is_judged_by_the_unreachable_share(share: float, expected: ComponentState) -> None:
    """One account-region of a thousand shows; half of them is critical."""
    assert thresholds.aws(share, DEFAULTS.aws) is expected


@pytest.mark.parametrize(
    ("backlog", "silence", "expected"),
    [
        (0, None, HEALTHY),
        (99, 59, HEALTHY),
        (100, 0, DEGRADED),
        (999, None, DEGRADED),
        (1000, None, CRITICAL),
        (0, 60, DEGRADED),
        (0, 179, DEGRADED),
        (0, 180, CRITICAL),
        (100, 180, CRITICAL),
    ],
)
def test_events_are_judged_by_the_worse_of_backlog_and_silence(
    backlog: int, silence: float | None, expected: ComponentState
) -> None:
    """What waits and how long no queue was asked each have their edges; without queues nobody is silent."""
    judged = thresholds.events(
        backlog=backlog,
        backlog_edges=DEFAULTS.events_backlog,
        silence=silence,
        silence_edges=DEFAULTS.events_silence,
    )

    assert judged is expected


@pytest.mark.parametrize(
    ("share", "expected"), [(1, HEALTHY), (0.101, HEALTHY), (0.1, DEGRADED), (0.031, DEGRADED), (0.03, CRITICAL)]
)
def test_the_disk_is_judged_by_its_free_share(share: float, expected: ComponentState) -> None:
    """A tenth free degrades the disk, three hundredths are critical."""
    assert thresholds.disk(share, DEFAULTS.disk) is expected


@pytest.mark.parametrize("judge", [thresholds.database, thresholds.redis, thresholds.k8s_watcher])
def test_what_cannot_be_reached_is_critical(judge: object) -> None:
    """No answer, or no heartbeat ever, is the worst state."""
    assert callable(judge)
    assert judge(None, Edges(1, 2)) is CRITICAL


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_worse_value_never_judges_better(one: float, other: float) -> None:
    """The states follow the order of the values, in both directions."""
    low, high = sorted((one, other))

    assert thresholds.rising(low, Edges(20, 50)).severity <= thresholds.rising(high, Edges(20, 50)).severity
    assert thresholds.falling(low, Edges(50, 20)).severity >= thresholds.falling(high, Edges(50, 20)).severity

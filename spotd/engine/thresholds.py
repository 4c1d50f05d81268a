"""What a measured value says about a component: the contract's table of states, as pure functions.

Every edge is exclusive on its better side: a database that answers in exactly 50 ms is degraded. A value of None
stands for what could not be measured; what that means differs per component and is said in each function.
"""

from collections.abc import Iterable

from spotd.config.values import Edges
from spotd.model.health import ComponentState

HEALTHY, DEGRADED, CRITICAL = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.CRITICAL


def rising(value: float, edges: Edges) -> ComponentState:
    """Judge a value that is better the smaller it is: healthy below the first edge, degraded below the second."""
    if value < edges.degraded:
        return HEALTHY
    return DEGRADED if value < edges.critical else CRITICAL


def falling(value: float, edges: Edges) -> ComponentState:
    """Judge a value that is better the greater it is: healthy above the first edge, degraded above the second."""
    if value > edges.degraded:
        return HEALTHY
    return DEGRADED if value > edges.critical else CRITICAL


def worst(states: Iterable[ComponentState]) -> ComponentState:
    """Return the most severe state; healthy when there is none."""
    return max(states, key=lambda state: state.severity, default=HEALTHY)


def database(round_trip: float | None, edges: Edges) -> ComponentState:
    """Judge the store by one round trip in seconds; None is a store that cannot be reached."""
    return CRITICAL if round_trip is None else rising(round_trip, edges)


def redis(depth: float | None, edges: Edges) -> ComponentState:
    """Judge Redis by its stream's length; None is a server that cannot be reached."""
    return CRITICAL if depth is None else rising(depth, edges)


def k8s_watcher(heartbeat_age: float | None, edges: Edges) -> ComponentState:
    """Judge the Kubernetes watcher by its heartbeat's age in seconds; None is a watcher never heard of."""
    return CRITICAL if heartbeat_age is None else rising(heartbeat_age, edges)


def optimizer(run_age: float | None, edges: Edges) -> ComponentState:
    """Judge the optimizer by the seconds since its last good run; none yet is degraded."""
    return DEGRADED if run_age is None else rising(run_age, edges)


def price_scraper(pass_age: float | None, edges: Edges, *, shape_ok: bool) -> ComponentState:
    """Judge prices by the seconds since the last good pass, and by the feed's shape; no pass at all is critical."""
    if pass_age is None:
        return CRITICAL
    return worst((rising(pass_age, edges), HEALTHY if shape_ok else DEGRADED))


def risk_engine(data_age: float | None, edges: Edges) -> ComponentState:
    """Judge the risk engine by its data's age in seconds; no data is critical."""
    return CRITICAL if data_age is None else rising(data_age, edges)


def ml_inference(*, active: bool, answers: bool, stand_in: bool) -> ComponentState:
    """Judge the model in use.

    `active`: there is an active model; `answers`: what is in use answers without failing; `stand_in`: a candidate or
    the fallback could serve in its place.
    """
    if not answers:
        return CRITICAL
    if active:
        return HEALTHY
    return DEGRADED if stand_in else CRITICAL


def event_loop(longest_lag: float, edges: Edges) -> ComponentState:
    """Judge the event loop by its longest recent stall, in seconds."""
    return rising(longest_lag, edges)


def aws(unreachable_share: float, edges: Edges) -> ComponentState:
    """Judge AWS by the share of probed account-regions that did not answer, from 0 to 1."""
    return rising(unreachable_share, edges)


def events(*, backlog: float, backlog_edges: Edges, silence: float | None, silence_edges: Edges) -> ComponentState:
    """Judge the event path by what waits, and by the longest time since a queue was received from.

    `backlog` counts or ages what is not processed; `silence` is in seconds, None where there are no queues.
    """
    states = [rising(backlog, backlog_edges)]
    if silence is not None:
        states.append(rising(silence, silence_edges))
    return worst(states)


def disk(free_share: float, edges: Edges) -> ComponentState:
    """Judge the state directory's file system by its free share, from 0 to 1."""
    return falling(free_share, edges)

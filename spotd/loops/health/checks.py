"""The eleven components: what was measured, judged by the contract's thresholds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import asdict

from spotd.config import Config
from spotd.config.values import Edges
from spotd.engine import thresholds
from spotd.engine.thresholds import DEGRADED, HEALTHY
from spotd.loops.health.facts import Facts
from spotd.loops.health.gauges import QueueState
from spotd.loops.health.measures import Disk
from spotd.loops.health.probe import Reach
from spotd.loops.lag import Stall
from spotd.loops.supervisor import Outcome
from spotd.model.fleet import ADVISOR, INSTANCE_TYPES, OPTIMIZER, PRICES, on_demand_prices, spot_prices
from spotd.model.health import ComponentState, Reading
from spotd.store.passes import Pass

OFF = Reading(status=HEALTHY, enabled=False)
NAMED = 10
"""How many of those that are in trouble the details name."""
PRICE_SOURCES = (PRICES, ADVISOR, INSTANCE_TYPES, spot_prices(""), on_demand_prices(""))
"""What the names of price sources begin with; CPU use is read in the same passes and is no price."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One round of measurements: what took time to ask, and what the daemon knows of itself.

    `facts` None: the store has not answered since the start. `lag` None: the loop is not sampled.
    `reached` None: AWS has not been probed since the start.
    """

    now: datetime
    started: datetime
    database: Outcome[float]
    facts: Facts | None
    redis: Outcome[int] | None
    disk: Outcome[Disk]
    reached: Sequence[Reach] | None
    lag: float | None
    stalls: Sequence[Stall]
    queues: Sequence[QueueState]

    @property
    def running(self) -> float:
        """The seconds since the start."""
        return (self.now - self.started) / timedelta(seconds=1)


Check = Callable[[Measured, Config], Reading]


def judge(measured: Measured, config: Config) -> dict[str, Reading]:
    """Return every component's reading, in the contract's order."""
    return {name: check(measured, config) for name, check in CHECKS.items()}


def database(measured: Measured, config: Config) -> Reading:
    """The store's round trip."""
    outcome = measured.database
    status = thresholds.database(outcome.value, config.health.thresholds.database)
    if outcome.value is None:
        return Reading(status=status, details={"error": told(outcome.error)})
    return Reading(status=status, details={"round_trip_ms": round(outcome.value * 1000, 2)})


def redis(measured: Measured, config: Config) -> Reading:
    """The stream of a configured Redis."""
    if measured.redis is None:
        return OFF
    status = thresholds.redis(measured.redis.value, config.health.thresholds.redis)
    details: dict[str, Any] = {"stream": config.events.redis_stream, "depth": measured.redis.value}
    if measured.redis.error is not None:
        details["error"] = told(measured.redis.error)
    return Reading(status=status, details=details)


def k8s_watcher(measured: Measured, config: Config) -> Reading:
    """The heartbeat that the Kubernetes watcher leaves in the store."""
    if not config.k8s.enabled:
        return OFF
    beat_at = measured.facts.heartbeat_at if measured.facts else None
    age = seconds_since(beat_at, measured.now)
    reading = Reading(
        status=thresholds.k8s_watcher(age, config.health.thresholds.k8s_watcher),
        details={"heartbeat_age_seconds": rounded(age)},
    )
    return starting(reading, measured, began=_is_since_start(age, measured), interval=config.health.interval)


def optimizer(measured: Measured, config: Config) -> Reading:
    """The optimizer's last good run."""
    last = _pass(measured, OPTIMIZER)
    age = seconds_since(last.last_ok_at if last else None, measured.now)
    reading = Reading(
        status=thresholds.optimizer(age, config.health.thresholds.optimizer),
        details={"last_run_age_seconds": rounded(age)},
    )
    return starting(reading, measured, began=_is_since_start(age, measured), interval=config.optimizer.interval)


def price_scraper(measured: Measured, config: Config) -> Reading:
    """The last good pass over prices, whether each source still answers, and whether the feeds kept their shape."""
    interval = config.prices.interval
    last, late = _pass(measured, PRICES), late_sources(measured, interval)
    age = seconds_since(last.last_ok_at if last else None, measured.now)
    edges = Edges(*(multiple * interval for multiple in config.health.thresholds.price_scraper))
    misshapen = [one.source for one in _price_passes(measured) if one.misshapen]
    by_age = thresholds.price_scraper(age, edges, shape_ok=not misshapen)
    reading = Reading(
        status=thresholds.worst((by_age, DEGRADED)) if late else by_age,
        details={
            "last_pass_age_seconds": rounded(age),
            "misshapen": misshapen[:NAMED],
            "late": dict(list(late.items())[:NAMED]),
        },
    )
    return starting(reading, measured, began=_were_prices_tried(measured), interval=interval)


def risk_engine(_measured: Measured, _config: Config) -> Reading:
    """Off until there is a risk loop; `thresholds.risk_engine` already judges its data's age."""
    return OFF


def ml_inference(measured: Measured, config: Config) -> Reading:
    """The model registry's word on what serves."""
    if not config.ml.enabled:
        return OFF
    model = measured.facts.model if measured.facts else None
    status = thresholds.ml_inference(
        active=model is not None and model.active,
        answers=model is None or model.error is None,
        stand_in=model is not None,
    )
    return Reading(status=status, details=asdict(model) if model else {"name": None})


def event_loop(measured: Measured, config: Config) -> Reading:
    """The longest recent stall of the event loop."""
    if measured.lag is None:
        return OFF
    slowest = [{"ms": round(s.seconds * 1000, 1), "task": s.task, "where": s.where} for s in measured.stalls]
    return Reading(
        status=thresholds.event_loop(measured.lag, config.health.thresholds.event_loop),
        details={"longest_stall_ms": round(measured.lag * 1000, 1), "slowest": slowest},
    )


def aws(measured: Measured, config: Config) -> Reading:
    """The share of account-regions whose last probe went unanswered; off where there is no account yet."""
    if measured.reached is None:
        unanswered = Reading(status=ComponentState.CRITICAL, details={"probed": 0})
        return starting(unanswered, measured, began=False, interval=config.health.interval)
    if not measured.reached:
        return OFF
    lost = [reach for reach in measured.reached if reach.error is not None]
    details = {
        "probed": len(measured.reached),
        "unreachable": len(lost),
        "unreachable_share": round(len(lost) / len(measured.reached), 4),
        "failing": [{"account_id": r.account_id, "region": r.region, "error": r.error} for r in lost[:NAMED]],
    }
    share = len(lost) / len(measured.reached)
    return Reading(status=thresholds.aws(share, config.health.thresholds.aws), details=details)


def events(measured: Measured, config: Config) -> Reading:
    """What waits in the store's own queue, and when each SQS queue was last received from."""
    edges = config.health.thresholds
    silences = {queue.name: measured.running if queue.silence is None else queue.silence for queue in measured.queues}
    waiting = measured.facts.backlog.depth if measured.facts else 0
    status = thresholds.events(
        backlog=waiting,
        backlog_edges=edges.events_backlog,
        silence=max(silences.values(), default=None),
        silence_edges=edges.events_silence,
    )
    oldest = seconds_since(measured.facts.backlog.oldest if measured.facts else None, measured.now)
    queues = [_queue_details(queue, silences[queue.name]) for queue in measured.queues]
    details = {"unprocessed": waiting, "oldest_age_seconds": rounded(oldest), "queues": queues}
    return Reading(status=status, details=details)


def disk(measured: Measured, config: Config) -> Reading:
    """The room where the daemon keeps its state."""
    room = measured.disk.value
    if room is None:
        return Reading(status=ComponentState.CRITICAL, details={"error": told(measured.disk.error)})
    status = thresholds.disk(room.free_share, config.health.thresholds.disk)
    details = {"free_bytes": room.free, "total_bytes": room.total, "free_share": round(room.free_share, 4)}
    return Reading(status=status, details=details)


CHECKS: Mapping[str, Check] = {
    "database": database,
    "redis": redis,
    "k8s_watcher": k8s_watcher,
    "optimizer": optimizer,
    "price_scraper": price_scraper,
    "risk_engine": risk_engine,
    "ml_inference": ml_inference,
    "event_loop": event_loop,
    "aws": aws,
    "events": events,
    "disk": disk,
}
"""Every component: the contract's seven, then the daemon's own four."""


def starting(reading: Reading, measured: Measured, *, began: bool, interval: float) -> Reading:
    """Excuse, for two intervals after the start, what has not run since: degraded, and not worth an alert."""
    if began or reading.status is HEALTHY or measured.running >= 2 * interval:
        return reading
    return Reading(status=DEGRADED, details={**reading.details, "starting": True})


def is_starting(reading: Reading) -> bool:
    """Whether a reading is excused because its component has not run since the start."""
    return bool(reading.details.get("starting"))


def late_sources(measured: Measured, interval: float) -> dict[str, str]:
    """Return why each source of prices fails that has failed for two intervals and is still being tried."""

    def is_late(one: Pass) -> bool:
        good, tried = (seconds_since(time, measured.now) for time in (one.last_ok_at, one.error_at))
        return (good is None or good >= 2 * interval) and tried is not None and tried < 6 * interval

    return {one.source: one.last_error for one in _price_passes(measured) if one.last_error and is_late(one)}


def seconds_since(then: datetime | None, now: datetime) -> float | None:
    """Return the seconds from then to now, never negative; None for never."""
    return None if then is None else max(0.0, (now - then) / timedelta(seconds=1))


def rounded(seconds: float | None) -> float | None:
    """Return seconds as people want to read them."""
    return None if seconds is None else round(seconds, 1)


def told(error: Exception | None) -> str:
    """Return an error as one line for the details."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return str(error) or type(error).__name__


def _is_since_start(age: float | None, measured: Measured) -> bool:
    return age is not None and age < measured.running


def _pass(measured: Measured, source: str) -> Pass | None:
    return measured.facts.passes.get(source) if measured.facts else None


def _price_passes(measured: Measured) -> list[Pass]:
    known = measured.facts.passes if measured.facts else {}
    return [known[source] for source in sorted(known) if source.startswith(PRICE_SOURCES)]


def _were_prices_tried(measured: Measured) -> bool:
    """Whether any source of prices was read, well or not, since the start."""
    times = (time for one in _price_passes(measured) for time in (one.last_ok_at, one.error_at))
    return any(time is not None and time >= measured.started for time in times)


def _queue_details(queue: QueueState, silence: float) -> dict[str, Any]:
    return {
        "queue": queue.name,
        "silence_seconds": rounded(silence),
        "backlog": queue.backlog,
        **({"error": queue.error} if queue.error else {}),
    }

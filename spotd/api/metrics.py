"""Prometheus metrics: names are a promise, held by a test; nothing is ever labelled by an instance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest
from prometheus_client.registry import Collector

from spotd.model.health import ComponentHealth

MEDIA_TYPE = CONTENT_TYPE_PLAIN_1_0_0
LATENCY_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class HttpMetrics:
    """What the API counts of itself, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "spotd_http_requests",
            "Requests answered, by route pattern.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "spotd_http_request_seconds",
            "Time to answer, streams left out.",
            ("method", "route"),
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self.streams = Gauge("spotd_stream_clients", "Connected stream clients.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the daemon's own state was at one scrape; empty mappings where the store did not answer."""

    version: str
    components: Mapping[str, ComponentHealth]
    loop_ages: Mapping[str, float]
    loop_failures: Mapping[str, int]
    figures: Mapping[str, float] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)
    instances: Mapping[str, int] = field(default_factory=dict)
    lifecycles: Mapping[str, int] = field(default_factory=dict)
    cost_micros_per_hour: int | None = None
    store_answered: bool = True


class FactsCollector(Collector):
    """Turns the facts of one scrape into metric families."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """Yield every family that has a value."""
        yield from _about(self._facts)
        yield from _loops(self._facts)
        yield from _fleet(self._facts)
        yield from (_figure(name, value) for name, value in sorted(self._facts.figures.items()))


def render(http: HttpMetrics, facts: Facts) -> bytes:
    """Return the exposition text; works on a few kilobytes, yet off the loop because a client asks for it at will."""
    registry = CollectorRegistry()
    registry.register(FactsCollector(facts))
    return generate_latest(http.registry) + generate_latest(registry)


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def _about(facts: Facts) -> Iterable[Metric]:
    yield _labelled("spotd_build_info", "The running version.", "version", {facts.version: 1})
    yield GaugeMetricFamily("spotd_store_answered", "Whether the store answered this scrape.", facts.store_answered)
    severities = {name: float(part.status.severity) for name, part in facts.components.items() if part.enabled}
    yield _labelled(
        "spotd_component_severity", "0 healthy, 1 degraded, 2 critical; enabled ones only.", "component", severities
    )


def _loops(facts: Facts) -> Iterable[Metric]:
    yield _labelled("spotd_loop_last_success_age_seconds", "Since the last good pass.", "loop", facts.loop_ages)
    yield _labelled("spotd_loop_failures", "Failed passes in a row.", "loop", facts.loop_failures)


def _fleet(facts: Facts) -> Iterable[Metric]:
    if not facts.store_answered:
        return
    yield _labelled("spotd_accounts", "Accounts by status.", "status", facts.accounts)
    yield _labelled("spotd_instances", "Instances by state.", "state", facts.instances)
    yield _labelled("spotd_instances_by_lifecycle", "Instances by lifecycle.", "lifecycle", facts.lifecycles)
    if facts.cost_micros_per_hour is not None:
        yield GaugeMetricFamily(
            "spotd_cost_dollars_per_hour", "Cost of what runs, where priced.", facts.cost_micros_per_hour / 1e6
        )


def _figure(name: str, value: float) -> Metric:
    """One of the daemon's own figures: `events.accepted_total` becomes `spotd_events_accepted_total`."""
    full = "spotd_" + name.replace(".", "_")
    if full.endswith("_total"):
        return CounterMetricFamily(full.removesuffix("_total"), f"Daemon figure {name}.", value)
    return GaugeMetricFamily(full, f"Daemon figure {name}.", value)

"""CloudWatch for EC2: CPU and network of each instance as a day's rhythm with noise, computed when asked."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

from spotd.sim.errors import ServiceError
from spotd.sim.paging import page
from spotd.sim.protocol import Call
from spotd.sim.workloads import Load
from spotd.sim.world import World

MAX_QUERIES = 500
MAX_DATAPOINTS = 100_800
_PEAK_HOUR = 14
_WEEKEND = 0.55
_WEEKEND_DAY = 5
_SCALE = {"CPUUtilization": 1.0, "NetworkIn": 90_000.0, "NetworkOut": 140_000.0}
_UNITS = {"CPUUtilization": "Percent", "NetworkIn": "Bytes", "NetworkOut": "Bytes"}


@dataclass(frozen=True, slots=True)
class Period:
    """One period of a day's rhythm: its start, and how far from rest (0) to peak (1) everybody is then."""

    at: datetime
    seconds: int
    rhythm: float
    weekend: float


@dataclass(frozen=True, slots=True)
class Series:
    """One instance's metric: its load, the moment it began, the factor of the metric."""

    instance_id: str
    load: Load
    since: datetime
    scale: float

    def points(self, periods: Sequence[Period]) -> Iterator[tuple[datetime, float]]:
        """(timestamp, average) of each period since the instance began."""
        for period in periods:
            if period.at >= self.since:
                yield period.at, self.average(period)

    def average(self, period: Period) -> float:
        """The mean over a period."""
        noise = crc32(f"{self.instance_id}{period.seconds // 300}".encode()) / 0xFFFFFFFF - 0.5
        value = (self.load.base + self.load.swing * period.rhythm) * period.weekend + self.load.noise * noise
        return self.scale * min(max(value, 0.1), 99.9)


def _periods(start: datetime, end: datetime, length: int, *, oldest_first: bool = True) -> Sequence[Period]:
    first = int(start.timestamp()) // length * length
    periods = [_period(moment) for moment in range(first, int(end.timestamp()), length)]
    return periods if oldest_first else periods[::-1]


def _period(moment: int) -> Period:
    at = datetime.fromtimestamp(moment, UTC)
    hours = at.hour + at.minute / 60
    rhythm = max(0.0, math.cos((hours - _PEAK_HOUR) / 24 * 2 * math.pi))
    return Period(at, moment, rhythm, _WEEKEND if at.weekday() >= _WEEKEND_DAY else 1.0)


class Metrics:
    """Answers `GetMetricData` and `GetMetricStatistics` for the namespace AWS/EC2."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_metric_data(self, call: Call) -> Mapping[str, Any]:
        """Results of up to 500 queries; more datapoints than CloudWatch allows go onto further pages."""
        queries = call.params.get("MetricDataQueries", [])
        if len(queries) > MAX_QUERIES:
            raise ServiceError(
                "ValidationError", "The collection MetricDataQueries must not have a size greater than 500."
            )
        start, end = _span(call)
        points = sum(_expected(query, start, end) for query in queries) or 1
        size = max(
            1, len(queries) * min(MAX_DATAPOINTS, int(call.params.get("MaxDatapoints", MAX_DATAPOINTS))) // points
        )
        shown, following = page(queries, next_token=call.params.get("NextToken"), size=size)
        instances = self._instances(call)
        oldest_first = call.params.get("ScanBy") == "TimestampAscending"
        lengths = {int(query.get("MetricStat", {}).get("Period", 300)) for query in shown}
        periods = {length: _periods(start, end, length, oldest_first=oldest_first) for length in lengths}
        results = [_result(query, instances, periods) for query in shown]
        return {"MetricDataResults": results, "NextToken": following, "Messages": []}

    def get_metric_statistics(self, call: Call) -> Mapping[str, Any]:
        """Datapoints of one metric, in no promised order."""
        start, end = _span(call)
        statistics = call.params.get("Statistics", ["Average"])
        series = _series(call.params, self._instances(call))
        points = series.points(_periods(start, end, int(call.params["Period"]))) if series else ()
        unit = _UNITS.get(call.params["MetricName"], "None")
        rows = [
            {"Timestamp": at, "Unit": unit} | {name: _statistic(name, average) for name in statistics}
            for at, average in points
        ]
        return {"Label": call.params["MetricName"], "Datapoints": rows}

    def _instances(self, call: Call) -> Mapping[str, tuple[Load, datetime]]:
        backend = self._world.ec2(call.account_id, call.region)
        reservations = list(backend.reservations.values()) if backend else []
        return {
            instance.id: (self._world.load_of(instance.id), instance.launch_time.replace(tzinfo=UTC))
            for reservation in reservations
            for instance in reservation.instances
            if instance.state == "running"
        }


def _span(call: Call) -> tuple[datetime, datetime]:
    start, end = call.params["StartTime"], call.params["EndTime"]
    if start >= end:
        raise ServiceError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
    return start, end


def _expected(query: Mapping[str, Any], start: datetime, end: datetime) -> int:
    period = query.get("MetricStat", {}).get("Period", 300)
    return max(1, (end - start) // timedelta(seconds=period))


def _result(
    query: Mapping[str, Any],
    instances: Mapping[str, tuple[Load, datetime]],
    periods: Mapping[int, Sequence[Period]],
) -> Mapping[str, Any]:
    if "MetricStat" not in query:
        raise ServiceError("ValidationError", "Metric math expressions are not simulated.")
    stat = query["MetricStat"]
    series = _series(stat["Metric"], instances)
    points = list(series.points(periods[int(stat["Period"])])) if series else []
    return {
        "Id": query["Id"],
        "Label": query.get("Label") or stat["Metric"]["MetricName"],
        "Timestamps": [at for at, _average in points],
        "Values": [_statistic(stat["Stat"], average) for _at, average in points],
        "StatusCode": "Complete",
    }


def _series(metric: Mapping[str, Any], instances: Mapping[str, tuple[Load, datetime]]) -> Series | None:
    dimensions: Sequence[Mapping[str, str]] = metric.get("Dimensions", [])
    instance_id = next((item["Value"] for item in dimensions if item["Name"] == "InstanceId"), "")
    scale = _SCALE.get(metric["MetricName"]) if metric.get("Namespace") == "AWS/EC2" else None
    if instance_id not in instances or scale is None:
        return None
    load, since = instances[instance_id]
    return Series(instance_id, load, since, scale)


def _statistic(name: str, average: float) -> float:
    """A statistic of a period from its mean: peaks lie a third above it."""
    match name:
        case "Maximum" | "p99" | "p95":
            return round(min(average * 1.35, 100.0) if average <= 100 else average * 1.35, 4)  # noqa: PLR2004 - percent
        case "Minimum":
            return round(average * 0.6, 4)
        case "SampleCount":
            return 5.0
        case "Sum":
            return round(average * 5, 4)
        case _:
            return round(average, 4)

"""CloudWatch: how busy instances are."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from spotd.aws.instances.listing import batched
from spotd.aws.replies import Raw, optional_text
from spotd.aws.session import AccountSession
from spotd.model.market import CpuUsage

MOST_QUERIES: Final = 500
"""Queries in one GetMetricData."""
PERIOD: Final = timedelta(hours=1)
AVERAGE: Final = "Average"
PEAK: Final = "Maximum"
STATISTICS: Final = (AVERAGE, PEAK)


class Sample(NamedTuple):
    """One hour of one statistic, in percent."""

    at: datetime
    percent: float


async def cpu_usage(
    session: AccountSession, region: str, instance_ids: Iterable[str], *, hours: int = 24, now: datetime
) -> Mapping[str, CpuUsage]:
    """Return CPU use over the last `hours`, by instance id; instances CloudWatch knows nothing of are left out.

    CloudWatch bills each statistic of each instance ($0.01 per 1,000). Raises AwsError.
    """
    window = {"StartTime": now - timedelta(hours=hours), "EndTime": now}
    usage: dict[str, CpuUsage] = {}
    for some in batched(sorted(set(instance_ids)), MOST_QUERIES // len(STATISTICS)):
        samples = await _samples(session, region, some, window)
        usage.update((each, _summary(each, samples[each], now, hours)) for each in some if all(samples[each]))
    return usage


async def _samples(
    session: AccountSession, region: str, instance_ids: list[str], window: Mapping[str, datetime]
) -> Mapping[str, tuple[list[Sample], list[Sample]]]:
    """Return the averages and the peaks of each instance; a series may be spread over several pages."""
    series: dict[str, tuple[list[Sample], list[Sample]]] = {each: ([], []) for each in instance_ids}
    queries = [_query(n, each, statistic) for n, each in enumerate(instance_ids) for statistic in STATISTICS]
    async for page in session.pages("cloudwatch", region, "GetMetricData", MetricDataQueries=queries, **window):
        for row in page.rows:
            statistic, _, number = (optional_text(row, "Id") or "").partition("_")
            if number.isdecimal() and int(number) < len(instance_ids):
                series[instance_ids[int(number)]][statistic == "peak"].extend(_points(row))
    return series


def _query(number: int, instance_id: str, statistic: str) -> dict[str, Any]:
    return {
        "Id": f"{'peak' if statistic == PEAK else 'average'}_{number}",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/EC2",
                "MetricName": "CPUUtilization",
                "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
            },
            "Period": int(PERIOD.total_seconds()),
            "Stat": statistic,
        },
        "ReturnData": True,
    }


def _points(row: Raw) -> list[Sample]:
    pairs = zip(row.get("Timestamps") or (), row.get("Values") or (), strict=False)
    return [Sample(at.astimezone(UTC), float(value)) for at, value in pairs if isinstance(at, datetime)]


def _summary(instance_id: str, samples: tuple[list[Sample], list[Sample]], now: datetime, hours: int) -> CpuUsage:
    """A window that begins within an hour touches one hour more than it is long."""
    averages, peaks = samples
    return CpuUsage(
        instance_id=instance_id,
        average_percent=sum(sample.percent for sample in averages) / len(averages),
        peak_percent=max(sample.percent for sample in peaks),
        hours=min(hours, len({sample.at for sample in averages})),
        observed_at=min(max(sample.at for sample in averages) + PERIOD, now),
    )

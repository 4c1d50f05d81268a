"""The health monitor: it measures every component, judges it, and tells each change once."""

from spotd.loops.health.gauges import Gauges, QueueState
from spotd.loops.health.monitor import HealthMonitor, run_all_health_checks
from spotd.loops.health.probe import AwsProbe

__all__ = ["AwsProbe", "Gauges", "HealthMonitor", "QueueState", "run_all_health_checks"]

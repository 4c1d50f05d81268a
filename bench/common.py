"""What every bench shares: figures with their targets, the machine they were taken on, and quiet runs."""

import argparse
import json
import operator
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psutil

T = TypeVar("T")

FOREIGN_CPU_LIMIT = 0.05
"""Share of the machine that other processes may use during a run; above it the run is repeated."""
ATTEMPTS = 3
HOLDS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value; `op` and `target` are None for a figure that only puts another one in proportion."""

    name: str
    value: float
    unit: str
    op: str | None = None
    target: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        return self.op is None or self.target is None or HOLDS[self.op](self.value, self.target)

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as the result file holds it."""
        return asdict(self) | {"holds": self.holds}

    def __str__(self) -> str:
        wanted = "" if self.op is None else f"   target {self.op} {self.target:g}   {'ok' if self.holds else 'MISSED'}"
        return f"{self.name:<44} {self.value:>10.5g} {self.unit:<4}{wanted}"


class Measure(Protocol):
    """A bench: yields its figures as they are taken; its docstring is the command's help."""

    def __call__(self, *, quick: bool) -> Iterator[Figure]:
        """Take the figures, with fewer repetitions when `quick`."""
        ...


def machine() -> dict[str, Any]:
    """Describe where the figures were taken."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mb": psutil.virtual_memory().total // 2**20,
        "python": platform.python_version(),
    }


def median(values: Iterable[float], digits: int = 3) -> float:
    """Return the median, rounded to what a reader can use."""
    return round(statistics.median(values), digits)


def undisturbed(measure: Callable[[], T]) -> T:
    """Run a measurement, again if other processes used more than 5 % of the machine; at most three times.

    The last run counts even if it was disturbed; the disturbance is then told on standard error.
    """
    for attempt in range(1, ATTEMPTS + 1):
        before = _Usage.now()
        result = measure()
        foreign = _Usage.now().foreign_since(before)
        if foreign <= FOREIGN_CPU_LIMIT:
            return result
        sys.stderr.write(f"disturbed: other processes used {foreign:.0%} of the machine (run {attempt}/{ATTEMPTS})\n")
    return result


@dataclass(frozen=True)
class _Usage:
    """CPU seconds so far: of the whole machine, all of it and busy, and of this process with its children."""

    total: float
    busy: float
    own: float

    @classmethod
    def now(cls) -> "_Usage":
        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return cls(total, total - idle, sum(_own_seconds()))

    def foreign_since(self, before: "_Usage") -> float:
        foreign = (self.busy - before.busy) - (self.own - before.own)
        return max(0.0, foreign / max(self.total - before.total, 1e-9))


def _own_seconds() -> Iterator[float]:
    """Yield the CPU seconds of this process, of children that ended, and of those that run."""
    me = psutil.Process()
    own = me.cpu_times()
    yield from (own.user, own.system, own.children_user, own.children_system)
    for child in me.children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        yield times.user + times.system


def main(name: str, measure: Measure, argv: Sequence[str] | None = None) -> int:
    """Run a bench from the command line: print each figure as it comes, or all as JSON; 1 if a target is missed.

    With `--report` a missed target is told but not an error: a shared machine proves that a bench runs, not how fast.
    """
    parser = argparse.ArgumentParser(prog=f"bench/{name}.py", description=measure.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--report", action="store_true", help="exit 0 even if a target is missed")
    options = parser.parse_args(argv)
    figures: list[Figure] = []
    for figure in measure(quick=options.quick):
        figures.append(figure)
        print(figure, file=sys.stderr if options.json else sys.stdout, flush=True)
    if options.json:
        print(
            json.dumps({"bench": name, "machine": machine(), "figures": [one.as_dict() for one in figures]}, indent=2)
        )
    return int(not options.report and not all(figure.holds for figure in figures))


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or "unknown")

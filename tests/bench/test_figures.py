import json
from collections.abc import Iterator
from itertools import count

import pytest

from bench.common import Figure, main, median, undisturbed


@pytest.mark.parametrize(
    ("op", "target", "holds"),
    [("<=", 1.5, True), ("<=", 1.4, False), (">=", 1.5, True), ("==", 0, False), (None, None, True)],
)
def test_a_figure_holds_its_target(op: str | None, target: float | None, holds: bool) -> None:  # noqa: FBT001
    """A figure holds when its value stands to its target as the operator says, and when it has none."""
    assert Figure(name="x", value=1.5, unit="s", op=op, target=target).holds is holds


def test_a_bench_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` standard output is one document with bench, machine and figures; a missed target exits 1."""

    def measure(*, quick: bool) -> Iterator[Figure]:
        yield Figure(name="rss", value=210, unit="MB", op="<=", target=200)
        yield Figure(name="floor", value=1 if quick else 2, unit="ms")

    code = main("x", measure, ["--json", "--quick"])

    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert (document["bench"], document["machine"].keys() >= {"cores", "python"}) == ("x", True)
    assert document["figures"] == [
        {"name": "rss", "value": 210, "unit": "MB", "op": "<=", "target": 200, "holds": False},
        {"name": "floor", "value": 1, "unit": "ms", "op": None, "target": None, "holds": True},
    ]


def test_a_report_does_not_judge(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--report` a missed target is printed as missed, and the exit code is 0."""

    def measure(*, quick: bool) -> Iterator[Figure]:
        yield Figure(name="rss", value=210, unit="MB", op="<=", target=200)

    assert main("x", measure, ["--report"]) == 0
    assert "MISSED" in capsys.readouterr().out


def test_a_measurement_counts_in_the_end_even_on_a_busy_machine() -> None:
    """A disturbed run is repeated, but not for ever."""
    runs = count(1)

    last = undisturbed(lambda: next(runs))

    assert last in {1, 2, 3}
    assert next(runs) == last + 1


def test_a_median_is_rounded_for_a_reader() -> None:
    """A median has as many digits as are worth reading."""
    assert median([3, 1.23456, 1]) == 1.235

"""The status table of accounts."""

from itertools import product

import pytest

from spotd.engine.accounts import may_become
from spotd.model.account import Status

ALLOWED = {
    ("pending", "connected"),
    ("connected", "active"),
    ("connected", "failed"),
    ("failed", "connected"),
}


def test_there_are_four_statuses() -> None:
    """Other programs read these four words; there is never a fifth."""
    assert {status.value for status in Status} == {"pending", "connected", "active", "failed"}


@pytest.mark.parametrize(("before", "after"), [*product(Status, Status)])
def test_only_four_of_the_sixteen_changes_are_allowed(before: Status, after: Status) -> None:
    """An account connects, becomes active or failed, and a failed one reconnects; nothing else, not even staying."""
    assert may_become(before, after) is ((before.value, after.value) in ALLOWED)

"""Which status an account may take next; other programs read the statuses, so the table is closed."""

from spotd.model.account import Status

ALLOWED = frozenset(
    {
        (Status.PENDING, Status.CONNECTED),
        (Status.CONNECTED, Status.ACTIVE),
        (Status.CONNECTED, Status.FAILED),
        (Status.FAILED, Status.CONNECTED),
    }
)
"""Credentials validated; first discovery complete; first discovery failed; reconnected by somebody."""


def may_become(before: Status, after: Status) -> bool:
    """Whether an account of one status may take the other; staying is no transition."""
    return (before, after) in ALLOWED

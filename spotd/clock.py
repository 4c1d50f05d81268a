"""Wall time, injected. Durations use the event loop's own clock instead."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the wall time."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)

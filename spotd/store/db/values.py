"""What goes into the database and comes out of it, the same on both engines."""

from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Row(Protocol):
    """What `asyncpg.Record` and `sqlite3.Row` share."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value of a column."""
        ...


def when(value: datetime | str) -> datetime:
    """Return a stored time as an aware datetime in UTC: Postgres hands out datetimes, SQLite fixed-width text."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    # asyncpg keeps the first and last moment it knows as Postgres's infinities, and these come back without a zone.
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def maybe_when(value: datetime | str | None) -> datetime | None:
    """Return a stored time that may be missing."""
    return None if value is None else when(value)


def time_text(value: datetime) -> str:
    """Return a time as SQLite keeps it, so that text order is time order; raises ValueError for a naive one."""
    require_zone(value)
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def require_zone(value: object) -> None:
    """Raise ValueError for a naive time: whoever made it meant some zone, and nobody can tell which."""
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"a time without a zone: {value}")


def to_json(value: object) -> str:
    """Return JSON with sorted keys, so that equal values give equal text."""
    return msgspec.json.encode(value, order="deterministic").decode()


def from_json(text: str, kind: type[T]) -> T:
    """Return what `to_json` wrote."""
    return msgspec.json.decode(text, type=kind)

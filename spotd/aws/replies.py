"""Reading AWS's answers: what must be there is demanded, what may be missing is None, nothing is guessed.

Answers come from botocore (datetimes) or from a recording of them (ISO 8601 text); both read the same.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from spotd.aws.errors import MalformedReply

Raw = Mapping[str, Any]

MICROS: Final = Decimal(1_000_000)
LOWEST_PRICE: Final = 1 / MICROS
HIGHEST_PRICE: Final = Decimal(10_000)
"""Dollars per hour; the dearest instance costs a tenth of it."""


def required_text(raw: Raw, *path: str) -> str:
    """Return a text that must be there, at the end of a path of fields, and not be empty; raises MalformedReply."""
    value = _at(raw, path)
    if not isinstance(value, str) or not value:
        raise MalformedReply(_pointer(path), "missing" if value is None else "not a text")
    return value


def required_int(raw: Raw, *path: str) -> int:
    """Return a whole number that must be there, at the end of a path of fields; raises MalformedReply."""
    value = _at(raw, path)
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedReply(_pointer(path), "missing" if value is None else "not a whole number")
    return value


def optional_text(raw: Raw, field: str) -> str | None:
    """Return a text, None if it is missing or empty."""
    value = raw.get(field)
    return value if isinstance(value, str) and value else None


def optional_int(raw: Raw, field: str) -> int | None:
    """Return a whole number, None if it is missing."""
    value = raw.get(field)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def optional_bool(raw: Raw, field: str) -> bool | None:
    """Return a flag, None if it is missing."""
    value = raw.get(field)
    return value if isinstance(value, bool) else None


def part(raw: Raw, field: str) -> Raw:
    """Return a nested structure, an empty one if it is missing."""
    value = raw.get(field)
    return value if isinstance(value, Mapping) else {}


def rows(raw: Raw, field: str) -> Sequence[Raw]:
    """Return a list of structures, an empty one if it is missing."""
    value = raw.get(field)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list | tuple) else []


def parts(raw: Raw, field: str) -> Sequence[Raw]:
    """Return the structures of a map, whatever their keys, none if it is missing."""
    return [each for each in part(raw, field).values() if isinstance(each, Mapping)]


def texts(raw: Raw, field: str) -> frozenset[str]:
    """Return a list of texts as a set, an empty one if it is missing."""
    value = raw.get(field)
    return (
        frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else frozenset()
    )


def optional_time(raw: Raw, field: str) -> datetime | None:
    """Return a moment in UTC, None if it is missing or not a time."""
    value = raw.get(field)
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def required_time(raw: Raw, field: str) -> datetime:
    """Return a moment in UTC that must be there; raises MalformedReply."""
    if (value := optional_time(raw, field)) is None:
        raise MalformedReply(_pointer((field,)), "missing or not a time")
    return value


def required_micros(raw: Raw, *path: str) -> int:
    """Return a price in dollars, written as a decimal, as whole micro-dollars; raises MalformedReply."""
    text = required_text(raw, *path)
    try:
        dollars = Decimal(text)
    except InvalidOperation:
        raise MalformedReply(_pointer(path), "not a decimal number") from None
    if not dollars.is_finite() or not LOWEST_PRICE <= dollars <= HIGHEST_PRICE:
        raise MalformedReply(_pointer(path), f"not a price between {LOWEST_PRICE} and {HIGHEST_PRICE} dollars")
    return int((dollars * MICROS).to_integral_value())


def _at(raw: Raw, path: Sequence[str]) -> Any:
    *outer, last = path
    for field in outer:
        raw = part(raw, field)
    return raw.get(last)


def _pointer(path: Sequence[str]) -> str:
    return "".join(f"/{field}" for field in path)


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None

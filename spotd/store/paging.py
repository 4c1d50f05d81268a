"""Pages of lists: opaque cursors that hold the key of the last row shown, and work in slices."""

import asyncio
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from spotd.errors import InvalidInput

T = TypeVar("T")
R = TypeVar("R")

RowId = Annotated[int, Meta(ge=0, le=2**62)]
Word = Annotated[str, Meta(max_length=128, pattern="^[^\\x00]*$")]
"""What a cursor of ours may hold: anything else would be the database's to refuse."""

SLICE = 100
"""Rows converted in one go; a hundred instances take about two milliseconds."""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """Some items of a list, in order; `next_cursor` is None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None = None


def cursor_of(*key: str | int) -> str:
    """Return a cursor that goes on after the row with this key."""
    return urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def key_of(cursor: str, kind: type[T]) -> T:
    """Return the key in a cursor, a tuple type; raises InvalidInput for one we did not make."""
    try:
        text = b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=kind)
    except (Base64Error, ValueError, msgspec.MsgspecError):
        raise InvalidInput("this cursor is not one of ours", field="cursor") from None


def id_of(cursor: str | None, *, default: int) -> int:
    """Return the id in a cursor of a list ordered by id, `default` for the first page."""
    return default if cursor is None else key_of(cursor, tuple[RowId])[0]


def page_of(items: Sequence[T], limit: int, key: Callable[[T], tuple[str | int, ...]]) -> Page[T]:
    """Return a page from `limit` + 1 items: the one too many says that there is a next page."""
    shown = tuple(items[:limit])
    return Page(items=shown, next_cursor=cursor_of(*key(shown[-1])) if len(items) > limit else None)


async def in_slices(function: Callable[[Any], R], items: Iterable[Any], size: int = SLICE) -> list[R]:
    """Apply a function to every item, and let others run after each slice: rows by the thousand never hold the loop."""
    iterator = iter(items)
    results: list[R] = []
    while part := list(islice(iterator, size)):
        results.extend(map(function, part))
        if len(part) == size:
            await asyncio.sleep(0)
    return results

"""Pages and tokens, the way AWS's list operations cut their answers."""

import binascii
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TypeVar

from spotd.sim.errors import ServiceError

T = TypeVar("T")


def token(text: str) -> str:
    """An opaque token that carries `text`."""
    return urlsafe_b64encode(text.encode()).decode()


def opened(value: str | None) -> str:
    """What a token carries, empty without one; a token that is none of ours is refused."""
    try:
        return b64decode(value or "", altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise ServiceError("InvalidNextToken", f"The token '{value}' is invalid") from None


def page(rows: Sequence[T], *, next_token: str | None, size: int) -> tuple[Sequence[T], str | None]:
    """One page of a list by offset, and the token of the next page if there is one."""
    text = opened(next_token)
    if text and not text.isdigit():
        raise ServiceError("InvalidNextToken", f"The token '{next_token}' is invalid")
    start = int(text or 0)
    end = start + size
    return rows[start:end], token(str(end)) if end < len(rows) else None

"""Signed events."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.api.signature import TOLERANCE, holds, sign

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
SECRET = b"a shared secret"


@given(st.binary())
def test_own_signature_holds(body: bytes) -> None:
    """What was signed with the secret is accepted."""
    assert holds(SECRET, sign(SECRET, body, NOW), body, NOW)


@pytest.mark.parametrize("seconds", [-TOLERANCE - 1, TOLERANCE + 1])
def test_old_or_future_signature_fails(seconds: int) -> None:
    """A signature outside the tolerance is refused, so that a recorded one is of no use later."""
    header = sign(SECRET, b"{}", NOW + timedelta(seconds=seconds))

    assert not holds(SECRET, header, b"{}", NOW)


@pytest.mark.parametrize("header", ["", "t=1", "v1=ab", "t=x,v1=" + "0" * 64, "t=1,v1=" + "é" * 64])
def test_malformed_signature_fails(header: str) -> None:
    """A header of another shape is refused, not an error."""
    assert not holds(SECRET, header, b"{}", NOW)


def test_other_body_or_secret_fails() -> None:
    """A changed body or another secret is refused."""
    header = sign(SECRET, b"{}", NOW)

    assert not holds(SECRET, header, b"{ }", NOW)
    assert not holds(b"another", header, b"{}", NOW)

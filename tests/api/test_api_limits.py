"""Token buckets, in virtual time."""

import asyncio

import pytest

from spotd.api.limits import MAX_KEYS, Buckets, Rate
from spotd.api.problems import Refusal


@pytest.mark.looptime
async def test_burst_passes_then_waits() -> None:
    """The burst passes at once; after it the refusal says when to come back."""
    bucket = Buckets(Rate(burst=3, per_second=0.5), asyncio.get_running_loop().time)
    for _ in range(3):
        bucket.spend("peer")

    with pytest.raises(Refusal) as caught:
        bucket.spend("peer")

    assert (caught.value.status, caught.value.headers["Retry-After"]) == (429, "2")


@pytest.mark.looptime
async def test_bucket_fills_with_time() -> None:
    """Waiting as long as told lets the next one pass; other keys never waited."""
    bucket = Buckets(Rate(burst=1, per_second=0.5), asyncio.get_running_loop().time)
    bucket.spend("peer")
    bucket.spend("other")
    await asyncio.sleep(2)

    bucket.spend("peer")

    with pytest.raises(Refusal):
        bucket.spend("peer")


@pytest.mark.looptime
async def test_keys_are_bounded() -> None:
    """However many peers come, the buckets kept are bounded."""
    bucket = Buckets(Rate(burst=1, per_second=1), asyncio.get_running_loop().time)
    for number in range(MAX_KEYS + 10):
        bucket.spend(str(number))

    bucket.spend("0")

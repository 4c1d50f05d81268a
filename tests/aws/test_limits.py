"""How fast spotd asks, in virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import looptime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws.limits import SLOWEST, Limits, RetryBudget, TokenBucket, loop_time, observe_answer
from spotd.aws.operations import PAGINATED, Group, Rate

rates = st.builds(Rate, burst=st.floats(1, 100), per_second=st.floats(0.5, 50))


def in_virtual_time(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run one example to its end on a loop whose clock jumps."""
    loop = looptime.new_event_loop(start=0)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def grants(bucket: TokenBucket, pauses: list[float]) -> list[float]:
    """Ask after each pause, each caller on its own, and return when each was let through."""
    times: list[float] = []

    async def ask() -> None:
        await bucket.take()
        times.append(loop_time())

    async with asyncio.TaskGroup() as group:
        for pause in pauses:
            await asyncio.sleep(pause)
            group.create_task(ask())
    return times


@given(rates, st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_window_ever_holds_more_than_burst_and_rate_allow(rate: Rate, pauses: list[float]) -> None:
    """However callers arrive, AWS's own bucket of that size would never run dry."""
    times = in_virtual_time(grants(TokenBucket(rate), pauses))
    assert len(times) == len(pauses)
    for first, begin in enumerate(times):
        for last, end in enumerate(times[first:], first):
            assert last - first + 1 <= rate.burst + (end - begin) * rate.per_second + 1e-3


@given(rates, st.lists(st.sampled_from(["throttled", "accepted", "wait"]), max_size=80))
def test_the_rate_stays_between_its_floor_and_its_ceiling(rate: Rate, happenings: list[str]) -> None:
    """Throttling slows, success speeds up again, and neither without bounds."""

    async def live() -> None:
        bucket = TokenBucket(rate)
        for happening in happenings:
            before = bucket.rate
            if happening == "wait":
                await asyncio.sleep(2)
            elif happening == "throttled":
                bucket.throttled()
                assert bucket.rate <= before
            else:
                bucket.accepted()
                assert bucket.rate >= before
            assert rate.per_second * SLOWEST - 1e-9 <= bucket.rate <= rate.per_second

    in_virtual_time(live())


@pytest.mark.looptime
async def test_callers_are_served_in_the_order_they_came() -> None:
    """Nobody overtakes."""
    bucket, served = TokenBucket(Rate(1, 1)), []

    async def ask(number: int) -> None:
        await bucket.take()
        served.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(10):
            group.create_task(ask(number))
    assert served == list(range(10))
    assert loop_time() == pytest.approx(9)


@pytest.mark.looptime
async def test_a_cancelled_wait_takes_no_token() -> None:
    """Whoever gives up leaves the next one's turn as it was."""
    bucket = TokenBucket(Rate(1, 1))
    await bucket.take()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await bucket.take()
    await bucket.take()
    assert loop_time() == pytest.approx(1)


@pytest.mark.looptime
async def test_a_burst_of_throttling_halves_the_rate_once() -> None:
    """Twenty answers "slower" at the same moment are one message."""
    bucket = TokenBucket(Rate(10, 8))
    for _ in range(20):
        bucket.throttled()
    assert bucket.rate == 4
    await asyncio.sleep(1)
    bucket.throttled()
    assert bucket.rate == 2


@pytest.mark.looptime
async def test_throttling_empties_the_bucket_and_success_brings_the_rate_back() -> None:
    """After "slower" the next call waits at the halved rate; fifty good calls undo one halving at most."""
    bucket = TokenBucket(Rate(10, 2))
    bucket.throttled()
    await bucket.take()
    assert loop_time() == pytest.approx(1)
    for _ in range(50):
        bucket.accepted()
    assert bucket.rate == 2


@pytest.mark.looptime
async def test_a_bucket_belongs_to_one_account_region_and_group() -> None:
    """One account's haste costs no other account a token."""
    limits = Limits(share=0.25, concurrency=4)
    mine = limits.bucket("1", "eu-west-1", "ec2", PAGINATED)
    assert mine is limits.bucket("1", "eu-west-1", "ec2", PAGINATED)
    assert mine is not limits.bucket("2", "eu-west-1", "ec2", PAGINATED)
    assert mine is not limits.bucket("1", "eu-west-2", "ec2", PAGINATED)
    assert mine is not None
    assert mine.rate == pytest.approx(5)
    limits.forget("1")
    assert mine is not limits.bucket("1", "eu-west-1", "ec2", PAGINATED)


async def occupy(limits: Limits, region: str, group: Group, until: asyncio.Event) -> None:
    """Hold a place until an event."""
    async with limits.admit("1", region, "ec2", group):
        await until.wait()


@pytest.mark.looptime
async def test_an_endpoint_that_hangs_leaves_places_for_the_others() -> None:
    """Half of the places is the most one endpoint can hold."""
    limits, free, release = Limits(share=1, concurrency=4), Group("free", None), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(occupy(limits, "hanging", free, release))
        await asyncio.sleep(1)
        async with asyncio.timeout(1), limits.admit("1", "other", "ec2", free):
            release.set()


@pytest.mark.looptime
async def test_a_sessions_renewal_needs_no_place_of_its_own() -> None:
    """Calls that hold every place and wait for their session do not wait for ever."""
    limits, release = Limits(share=1, concurrency=1), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(occupy(limits, "eu-west-1", Group("free", None), release))
        await asyncio.sleep(1)
        async with asyncio.timeout(1), limits.admit("1", "eu-west-1", "sts", Group("tokens", None, pooled=False)):
            release.set()


@pytest.mark.looptime
async def test_an_answer_reaches_the_bucket_of_its_caller_only() -> None:
    """Throttling of one account slows that account."""
    limits = Limits(share=1, concurrency=4)
    slow = {"Error": {"Code": "RequestLimitExceeded"}, "ResponseMetadata": {"HTTPStatusCode": 503}}
    async with limits.admit("1", "eu-west-1", "ec2", PAGINATED):
        observe_answer(parsed_response=slow)
    observe_answer(parsed_response=slow)
    mine, other = (limits.bucket(each, "eu-west-1", "ec2", PAGINATED) for each in "12")
    assert mine is not None
    assert other is not None
    assert (mine.rate, other.rate) == (10, 20)


def test_retries_end_when_the_reserve_is_spent_and_success_earns_new_ones() -> None:
    """In a lasting outage a process retries its reserve and then a fifth of what succeeds."""
    budget = RetryBudget(3)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    for _ in range(5):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]

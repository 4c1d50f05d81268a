"""Endpoints that fail again and again are left alone, in virtual time."""

import asyncio

import pytest

from spotd.aws.breaker import FAILURES_TO_OPEN, PAUSES, Breakers
from spotd.aws.errors import AwsError, Call, Trouble

pytestmark = pytest.mark.looptime

CALL = Call("111111111111", "eu-west-1", "ec2", "DescribeInstances")
DOWN = AwsError(Trouble.TRANSIENT, "ReadTimeoutError", "no answer", CALL)
SLOWER = AwsError(Trouble.THROTTLED, "RequestLimitExceeded", "slower", CALL, status=503)
REFUSED = AwsError(Trouble.DENIED, "UnauthorizedOperation", "no", CALL, status=403)
ELSEWHERE = AwsError(Trouble.TRANSIENT, "InternalFailure", "sts", CALL._replace(service="sts"), status=500)


async def call(breakers: Breakers, outcome: AwsError | None = None, *, of: Call = CALL) -> str:
    """Make one call that ends as said; return AWS's code, "" when it succeeds."""
    try:
        with breakers.guard(of):
            if outcome is not None:
                raise outcome
    except AwsError as error:
        return error.code
    return ""


async def opened() -> Breakers:
    """Return breakers with one just opened."""
    breakers = Breakers()
    for _ in range(FAILURES_TO_OPEN):
        await call(breakers, DOWN)
    return breakers


async def test_the_fifth_failure_in_a_row_opens() -> None:
    """Then nothing is sent, and what is left alone can be read."""
    breakers = Breakers()
    for _ in range(FAILURES_TO_OPEN - 1):
        await call(breakers, DOWN)
    assert breakers.open() == ()
    await call(breakers, DOWN)
    assert await call(breakers) == "BreakerOpen"
    [open_one] = breakers.open()
    assert open_one[:4] == ("111111111111", "eu-west-1", "ec2", FAILURES_TO_OPEN)
    assert (open_one.next_trial_in, "no answer" in open_one.last_error) == (PAUSES[0], True)


@pytest.mark.parametrize("answer", [SLOWER, REFUSED, ELSEWHERE], ids=["throttled", "refused", "elsewhere"])
async def test_an_answer_is_no_failure(answer: AwsError) -> None:
    """Throttling, a refusal, and a session that could not be renewed say nothing against the endpoint."""
    breakers = Breakers()
    for _ in range(50):
        await call(breakers, answer)
    assert await call(breakers) == ""


async def test_a_success_in_between_starts_the_count_anew() -> None:
    """Only failures in a row count."""
    breakers = Breakers()
    for _ in range(10):
        for _ in range(FAILURES_TO_OPEN - 1):
            await call(breakers, DOWN)
        assert await call(breakers) == ""
    assert breakers.open() == ()


async def test_another_account_region_or_service_is_not_touched() -> None:
    """A breaker belongs to one endpoint of one account."""
    breakers = await opened()
    for other in (CALL._replace(account_id="2"), CALL._replace(region="us-east-1"), CALL._replace(service="elbv2")):
        assert await call(breakers, of=other) == ""


async def test_after_the_pause_one_trial_decides() -> None:
    """Half open: one caller is let through, and its success closes for all."""
    breakers = await opened()
    await asyncio.sleep(PAUSES[0])
    with breakers.guard(CALL):
        assert await call(breakers) == "BreakerOpen"
    assert [await call(breakers) for _ in range(3)] == ["", "", ""]
    assert breakers.open() == ()


async def test_each_failed_trial_makes_the_pause_longer_up_to_a_minute() -> None:
    """A dead endpoint is asked ever more rarely, and at least once a minute."""
    breakers, pauses = await opened(), []
    for _ in range(6):
        [open_one] = breakers.open()
        pauses.append(open_one.next_trial_in)
        await asyncio.sleep(open_one.next_trial_in)
        await call(breakers, DOWN)
    assert pauses == [10, 20, 40, 60, 60, 60]


async def test_a_cancelled_trial_leaves_the_next_caller_a_trial() -> None:
    """A shutdown or deadline during the trial proves nothing and locks nobody out."""
    breakers = await opened()
    await asyncio.sleep(PAUSES[0])
    with pytest.raises(asyncio.CancelledError), breakers.guard(CALL):
        raise asyncio.CancelledError
    assert await call(breakers) == ""


async def test_a_removed_account_takes_its_breakers_along() -> None:
    """Nothing is kept of an account that is gone."""
    breakers = await opened()
    breakers.forget("111111111111")
    assert breakers.open() == ()

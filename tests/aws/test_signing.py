"""Whose credentials sign a request, seen at the wire."""

import asyncio
import random
from collections.abc import Callable
from contextvars import Context
from datetime import timedelta

import pytest

from spotd.aws.clients import Clients
from spotd.aws.errors import AwsError, Denial, Trouble, UnsignedCall
from spotd.aws.limits import RetryBudget
from spotd.aws.session import Aws
from spotd.model.account import AccessKeys, RoleGrant
from tests.aws.conftest import HandClock
from tests.aws.fakes import Answer, FakeAws, Seen, page, query_refusal, refusal, regions, role_session

Keys = Callable[[str], AccessKeys]


def grant(account_id: str) -> RoleGrant:
    """Return the grant of an account's role."""
    return RoleGrant(role_arn=f"arn:aws:iam::{account_id}:role/spotd", external_id=f"external-{account_id}")


def accounts(number: int) -> list[str]:
    """Return that many account ids."""
    return [f"{n:012d}" for n in range(1, number + 1)]


def opened(seen: Seen, clock: HandClock, *, lasts: timedelta = timedelta(hours=1)) -> Answer:
    """Answer AssumeRole with a session that names its account."""
    account_id = seen.params["RoleArn"].split(":")[4]
    return role_session(f"AS{account_id}", f"token-{account_id}", (clock.now() + lasts).isoformat())


async def test_500_concurrent_calls_of_100_accounts_are_never_mixed(
    aws: Aws, fake: FakeAws, clock: HandClock, keys: Keys
) -> None:
    """Key, token and account agree in every request on the wire, first sent or retried, through one shared client."""
    chance = random.Random(7)

    def answer(seen: Seen) -> Answer:
        return refusal("Unavailable", status=503) if chance.random() < 0.3 else regions("us-east-1")

    fake.on("DescribeRegions", answer).on("AssumeRole", lambda seen: opened(seen, clock))

    async def call(account_id: str) -> Trouble | None:
        by_role = int(account_id) % 2 == 0
        session = aws.session_for(account_id, grant(account_id) if by_role else keys(account_id))
        await asyncio.sleep(chance.random() * 0.05)
        try:
            await session.call("ec2", "us-east-1", "DescribeRegions", RegionNames=[f"of-{account_id}"])
        except AwsError as error:
            return error.trouble
        return None

    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(call(account_id)) for account_id in accounts(100) * 5]

    sent = fake.calls("DescribeRegions")
    assert len(sent) > 550
    outcomes = [each.result() for each in calls]
    assert outcomes.count(None) > 400
    assert set(outcomes) <= {None, Trouble.TRANSIENT}
    for seen in sent:
        account_id = seen.params["RegionName.1"].removeprefix("of-")
        by_role = int(account_id) % 2 == 0
        expected = (f"AS{account_id}", f"token-{account_id}") if by_role else (f"AK{account_id}", None)
        assert (seen.access_key, seen.session_token) == expected
    assert {each.access_key for each in fake.calls("AssumeRole")} == {"OWN"}
    assert len(fake.calls("AssumeRole")) == 50


async def test_a_call_without_credentials_is_refused_before_anything_is_sent(fake: FakeAws) -> None:
    """A client used past the session has nobody to sign for, and the wire stays silent."""
    async with Clients(
        profile=None,
        endpoint_url=fake.endpoint,
        endpoints={},
        timeouts=(1.0, 1.0),
        connections=1,
        retries=RetryBudget(),
    ) as clients:
        client = await clients.get("ec2", "us-east-1")
        with pytest.raises(UnsignedCall):
            await client.describe_regions()
    assert fake.seen == []


async def test_credentials_do_not_leak_into_what_is_called_next(aws: Aws, fake: FakeAws, keys: Keys) -> None:
    """After a call its task has no signer left."""
    fake.on("DescribeRegions", regions("us-east-1"))
    session = aws.session_for("000000000001", keys("000000000001"))
    await session.call("ec2", "us-east-1", "DescribeRegions")
    client = await aws._edge.clients.get("ec2", "us-east-1")
    with pytest.raises(UnsignedCall):
        await client.describe_regions()
    async with asyncio.TaskGroup() as group:
        naked = group.create_task(refused(client), context=Context())
    assert naked.result()
    assert len(fake.seen) == 1


async def refused(client: object) -> bool:
    """Return whether a call is refused for want of a signer."""
    try:
        await client.describe_regions()  # type: ignore[attr-defined]  # botocore makes the method
    except UnsignedCall:
        return True
    return False


async def test_a_session_near_its_end_is_replaced_in_the_middle_of_a_listing(
    aws: Aws, fake: FakeAws, clock: HandClock
) -> None:
    """Each page is signed with what is valid then; the listing notices nothing."""
    count = iter(range(10))
    fake.on(
        "AssumeRole",
        lambda _seen: role_session(f"AS{next(count)}", "token", (clock.now() + timedelta(hours=1)).isoformat()),
    )
    fake.sequence("DescribeInstances", page(token="2"), page(token="3"), page())
    session = aws.session_for("111111111111", grant("111111111111"))
    async for _page in session.pages("ec2", "us-east-1", "DescribeInstances"):
        clock.forward(minutes=26)
    assert [each.access_key for each in fake.calls("DescribeInstances")] == ["AS0", "AS0", "AS1"]


async def test_a_session_that_aws_ended_early_is_opened_anew(aws: Aws, fake: FakeAws, clock: HandClock) -> None:
    """A revoked session costs one call, not the account."""
    count = iter(range(10))
    fake.on(
        "AssumeRole",
        lambda _seen: role_session(f"AS{next(count)}", "token", (clock.now() + timedelta(hours=1)).isoformat()),
    )
    fake.sequence("DescribeRegions", regions("us-east-1"), refusal("ExpiredToken"), regions("us-east-1"))
    session = aws.session_for("111111111111", grant("111111111111"))
    await session.call("ec2", "us-east-1", "DescribeRegions")
    await session.call("ec2", "us-east-1", "DescribeRegions")
    assert [each.access_key for each in fake.calls("DescribeRegions")] == ["AS0", "AS0", "AS1"]


async def test_many_callers_whose_session_ended_open_one_new_one(aws: Aws, fake: FakeAws, clock: HandClock) -> None:
    """Seventeen regions that hear of the end at once do not throw each other's new session away."""
    count = iter(range(100))
    fake.on(
        "AssumeRole",
        lambda _seen: role_session(f"AS{next(count)}", "token", (clock.now() + timedelta(hours=1)).isoformat()),
    )
    fake.on(
        "DescribeRegions", lambda seen: refusal("ExpiredToken") if seen.access_key == "AS0" else regions("us-east-1")
    )
    session = aws.session_for("111111111111", grant("111111111111"))
    await session._credentials.current()
    async with asyncio.TaskGroup() as group:
        for _ in range(17):
            group.create_task(session.call("ec2", "us-east-1", "DescribeRegions"))
    assert len(fake.calls("AssumeRole")) == 2


async def test_many_callers_open_one_session(aws: Aws, fake: FakeAws, clock: HandClock) -> None:
    """Seventeen regions that start at once assume the role once."""
    fake.on("AssumeRole", lambda seen: opened(seen, clock)).on("DescribeRegions", regions("us-east-1"))
    session = aws.session_for("111111111111", grant("111111111111"))
    async with asyncio.TaskGroup() as group:
        for _ in range(17):
            group.create_task(session.call("ec2", "us-east-1", "DescribeRegions"))
    assert len(fake.calls("AssumeRole")) == 1
    [asked] = fake.calls("AssumeRole")
    assert (asked.params["ExternalId"], asked.params["RoleSessionName"]) == ("external-111111111111", "spotd")


async def test_a_role_that_refuses_is_asked_once_by_those_who_wait(aws: Aws, fake: FakeAws) -> None:
    """A refusal is shared, is about credentials, and names the operation that failed."""
    fake.on("AssumeRole", query_refusal("AccessDenied", status=403))
    session = aws.session_for("111111111111", grant("111111111111"))
    errors: list[AwsError] = []

    async def call() -> None:
        try:
            await session.call("ec2", "us-east-1", "DescribeRegions")
        except AwsError as error:
            errors.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(call())
    assert len(fake.calls("AssumeRole")) == 1
    assert {(each.operation, each.denial) for each in errors} == {("AssumeRole", Denial.CREDENTIALS)}
    assert len(errors) == 10
    assert fake.calls("DescribeRegions") == []


async def test_an_old_session_serves_while_it_cannot_be_replaced(aws: Aws, fake: FakeAws, clock: HandClock) -> None:
    """While STS is down, what is still valid is used to its last minute."""
    fake.sequence(
        "AssumeRole",
        role_session("AS0", "token", (clock.now() + timedelta(hours=1)).isoformat()),
        query_refusal("ExpiredTokenException", status=403),
    ).on("DescribeRegions", regions("us-east-1"))
    session = aws.session_for("111111111111", grant("111111111111"))
    await session.call("ec2", "us-east-1", "DescribeRegions")
    clock.forward(minutes=55)
    await session.call("ec2", "us-east-1", "DescribeRegions")
    clock.forward(minutes=4, seconds=30)
    with pytest.raises(AwsError, match="ExpiredToken"):
        await session.call("ec2", "us-east-1", "DescribeRegions")


async def test_the_same_grant_keeps_its_session_and_a_new_one_does_not(aws: Aws, keys: Keys) -> None:
    """Replaced keys sign from the next call on."""
    first = aws.session_for("111111111111", keys("111111111111"))
    assert aws.session_for("111111111111", keys("111111111111")) is first
    assert aws.session_for("111111111111", grant("111111111111")) is not first


async def test_a_region_nobody_could_name_is_permanent_trouble(aws: Aws, keys: Keys) -> None:
    """What cannot be an address is refused without a look-up."""
    with pytest.raises(AwsError) as caught:
        await aws.session_for("111111111111", keys("111111111111")).call("ec2", "no such region!", "DescribeRegions")
    assert caught.value.trouble is Trouble.PERMANENT


async def test_one_client_serves_every_account_of_a_region(aws: Aws, fake: FakeAws, keys: Keys) -> None:
    """Accounts cost no clients."""
    fake.on("DescribeRegions", regions("us-east-1"))
    for account_id in accounts(5):
        await aws.session_for(account_id, keys(account_id)).call("ec2", "us-east-1", "DescribeRegions")
    assert len(aws._edge.clients._clients) == 1

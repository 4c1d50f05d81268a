"""Listing instances, with everything AWS and the network may do to a listing."""

import asyncio

import pytest
from aiohttp import web

from spotd.aws.errors import AwsError, Denial, Trouble
from spotd.aws.instances import Page, describe_instances, list_instances
from spotd.aws.session import AccountSession
from spotd.model.instance import Lifecycle, State
from tests.aws.fakes import XML, FakeAws, instance, page, refusal

MANAGED = "spotd:managed=true"


async def listed(session: AccountSession, region: str = "eu-west-1") -> list[Page]:
    """Return every page of a listing."""
    return [each async for each in list_instances(session, region, MANAGED)]


async def test_every_page_is_asked_for_and_the_last_is_marked(fake: FakeAws, session: AccountSession) -> None:
    """A listing follows the tokens to the end, a hundred instances a page, and says which page completes it."""
    fake.sequence("DescribeInstances", page(instance("i-1"), token="more"), page(instance("i-2")))
    pages = await listed(session)
    assert [([each.instance_id for each in page.instances], page.last) for page in pages] == [
        (["i-1"], False),
        (["i-2"], True),
    ]
    assert [each.params.get("NextToken") for each in fake.seen] == [None, "more"]
    assert {each.params["MaxResults"] for each in fake.seen} == {"100"}


async def test_an_empty_account_is_one_last_page_without_instances(fake: FakeAws, session: AccountSession) -> None:
    """Nothing there is a complete answer too."""
    fake.on("DescribeInstances", page())
    assert await listed(session) == [Page((), last=True)]


async def test_tombstones_are_left_out_of_a_listing(fake: FakeAws, session: AccountSession) -> None:
    """What AWS still shows for an hour after its end does not exist any more."""
    rows = [instance(f"i-{state}", state=state) for state in State]
    fake.on("DescribeInstances", page(*rows))
    [only] = await listed(session)
    assert [each.state.value for each in only.instances] == ["pending", "running", "stopping", "stopped"]


async def test_named_instances_come_with_their_tombstones(fake: FakeAws, session: AccountSession) -> None:
    """A targeted describe asks by filter, so that an id that is gone fails nothing, and shows what ended."""
    fake.on("DescribeInstances", page(instance("i-1", state="terminated")))
    [found] = await describe_instances(session, "eu-west-1", ["i-1", "i-gone"], MANAGED)
    assert found.state is State.TERMINATED
    assert fake.seen[0].params["Filter.1.Name"] == "instance-id"


async def test_missing_optional_fields_are_none(fake: FakeAws, session: AccountSession) -> None:
    """An instance with its id, type and state only is an instance."""
    fake.on("DescribeInstances", page(instance("i-1")))
    [[only]] = [each.instances for each in await listed(session)]
    assert (only.launched_at, only.availability_zone, only.az_id, only.vpc_id, only.ena) == (None,) * 5
    assert (only.lifecycle, only.product, only.tenancy, only.tags) == (Lifecycle.ON_DEMAND, "Linux/UNIX", "default", {})


@pytest.mark.parametrize("value", ["Ünïcödé ✓ 🚀", "\u202eright-to-left", "<&>\"'", "x" * 10_000, "", "\u00a0 \u2028"])
async def test_tags_arrive_as_they_were_written(fake: FakeAws, session: AccountSession, value: str) -> None:
    """Any Unicode and any length AWS lets through comes out unchanged."""
    fake.on("DescribeInstances", page(instance("i-1", tags={"note": value, "ключ-🗝": "v"})))
    [[only]] = [each.instances for each in await listed(session)]
    assert only.tags == {"note": value, "ключ-🗝": "v"}


async def test_an_answer_of_another_account_is_refused(fake: FakeAws, session: AccountSession) -> None:
    """No instance is ever filed under an account that does not own it."""
    fake.on("DescribeInstances", page(instance("i-1"), owner="222222222222"))
    with pytest.raises(AwsError, match=r"WrongAccount.*222222222222") as caught:
        await listed(session)
    assert caught.value.trouble is Trouble.PERMANENT


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<DescribeInstancesResponse><reservationSet><item>",
        "<html><body>maintenance</body></html>",
        "not xml at all",
        "<DescribeInstancesResponse><requestId>r</requestId></DescribeInstancesResponse>"[:-5],
    ],
)
async def test_a_page_cut_in_the_middle_is_an_error(fake: FakeAws, session: AccountSession, body: str) -> None:
    """A body that is not a whole page never counts as an empty one."""
    fake.on("DescribeInstances", web.Response(text=body, content_type=XML))
    with pytest.raises(AwsError, match="MalformedReply") as caught:
        await listed(session)
    assert caught.value.trouble is Trouble.TRANSIENT


async def test_a_page_lost_after_the_first_ends_the_listing_with_an_error(
    fake: FakeAws, session: AccountSession
) -> None:
    """The pages before the loss were not marked as last."""
    fake.sequence(
        "DescribeInstances", page(instance("i-1"), token="more"), refusal("UnauthorizedOperation", status=403)
    )
    pages = list_instances(session, "eu-west-1", MANAGED)
    assert not (await anext(pages)).last
    with pytest.raises(AwsError):
        await anext(pages)


async def test_a_token_that_comes_back_is_an_error(fake: FakeAws, session: AccountSession) -> None:
    """A listing that would never end ends."""
    fake.on("DescribeInstances", page(instance("i-1"), token="again"))
    with pytest.raises(AwsError, match="same page twice"):
        await listed(session)


async def test_an_instance_without_its_id_fails_its_page(fake: FakeAws, session: AccountSession) -> None:
    """A row that cannot be kept must not be lost in silence: its absence would end an instance that lives."""
    fake.on("DescribeInstances", page("<item><instanceType>m5.large</instanceType></item>"))
    with pytest.raises(AwsError, match="/InstanceId: missing"):
        await listed(session)


async def test_a_region_that_hangs_times_out(fake: FakeAws, session: AccountSession) -> None:
    """An endpoint that accepts and never answers is transient trouble, not a wait without end."""

    async def hang(_seen: object) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    fake.on("DescribeInstances", hang)
    with pytest.raises(AwsError, match="ReadTimeoutError") as caught:
        await listed(session)
    assert caught.value.trouble is Trouble.TRANSIENT


async def test_a_region_at_500_is_tried_three_times(fake: FakeAws, session: AccountSession) -> None:
    """AWS's own failures are retried a little by the call and otherwise left to the next pass."""
    fake.on("DescribeInstances", refusal("InternalError", status=500))
    with pytest.raises(AwsError) as caught:
        await listed(session)
    assert (caught.value.trouble, caught.value.status, len(fake.seen)) == (Trouble.TRANSIENT, 500, 3)


async def test_a_short_throttle_is_waited_out(fake: FakeAws, session: AccountSession) -> None:
    """Throttling is no failure as long as a retry gets through."""
    fake.sequence("DescribeInstances", refusal("RequestLimitExceeded", status=503), page(instance("i-1")))
    assert len(await listed(session)) == 1
    assert len(fake.seen) == 2


@pytest.mark.parametrize(
    ("code", "message", "denial"),
    [
        ("UnauthorizedOperation", "You are not authorized to perform this operation.", Denial.PERMISSION),
        (
            "UnauthorizedOperation",
            "User: arn:x is not authorized to perform: ec2:DescribeInstances with an explicit deny in a service control policy",
            Denial.POLICY,
        ),
        ("OptInRequired", "You are not subscribed to this service.", Denial.OPT_IN),
        ("AuthFailure", "AWS was not able to validate the provided access credentials", Denial.CREDENTIALS),
    ],
)
async def test_a_denied_region_says_why(
    fake: FakeAws, session: AccountSession, code: str, message: str, denial: Denial
) -> None:
    """A closed region, a missing permission and lost credentials are told apart, and none is retried."""
    fake.on("DescribeInstances", refusal(code, message, status=403))
    with pytest.raises(AwsError) as caught:
        await listed(session)
    error = caught.value
    assert (error.trouble, error.denial, error.region, error.account_id) == (
        Trouble.DENIED,
        denial,
        "eu-west-1",
        "111111111111",
    )
    assert len(fake.seen) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestExpired", "Request has expired."),
        ("SignatureDoesNotMatch", "Signature expired: 20261123T110000Z is now earlier than 20261123T115500Z"),
        ("InvalidSignatureException", "Signature not yet current: 20261123T130000Z is still later than 20261123T12"),
    ],
)
async def test_a_wrong_clock_is_named(fake: FakeAws, session: AccountSession, code: str, message: str) -> None:
    """When AWS refuses a signature for its time, the message sends a person to the clock."""
    fake.on("DescribeInstances", refusal(code, message))
    with pytest.raises(AwsError, match="clock") as caught:
        await listed(session)
    assert caught.value.trouble is Trouble.TRANSIENT


async def test_a_signature_error_never_repeats_the_signed_headers(fake: FakeAws, session: AccountSession) -> None:
    """AWS's text about a wrong signature quotes the session token; ours does not, nor does the error behind it."""
    text = "The request signature does not match. The Canonical String for this request should have been x-amz-security-token:TOPSECRET"
    fake.on("DescribeInstances", refusal("SignatureDoesNotMatch", text, status=403))
    with pytest.raises(AwsError) as caught:
        await listed(session)
    assert "TOPSECRET" not in f"{caught.value}{caught.value.message}"
    assert caught.value.__suppress_context__

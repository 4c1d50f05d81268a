"""What proves credentials and what does not."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from spotd.aws import onboarding, sts
from spotd.aws.credentials import OwnCredentials
from spotd.aws.errors import AwsError, Trouble
from spotd.aws.onboarding import RoleIgnoresExternalId, verify_access_keys, verify_role
from spotd.aws.session import Aws
from spotd.config import AwsConfig
from spotd.errors import InvalidInput
from spotd.model.account import AccessKeys, RoleGrant
from tests.aws.conftest import HandClock
from tests.aws.fakes import Answer, FakeAws, Seen, copy, identity, query_refusal, refusal, regions, role_session

ACCOUNT = "111111111111"
GRANT = RoleGrant(role_arn=f"arn:aws:iam::{ACCOUNT}:role/spotd", external_id="the-right-one")
REFUSED = ("AccessDenied", 403)


@pytest.fixture
def role(fake: FakeAws, clock: HandClock) -> Callable[..., None]:
    """Make a role that answers a wrong ExternalId and a missing one as told: with a refusal, or None opens it."""
    session = role_session("AS", "token", (clock.now() + timedelta(hours=1)).isoformat())

    def make(*, wrong: tuple[str, int] | None = REFUSED, missing: tuple[str, int] | None = REFUSED) -> None:
        def answer(seen: Seen) -> Answer:
            given = seen.params.get("ExternalId")
            told = None if given == GRANT.external_id else wrong if given else missing
            return query_refusal(told[0], status=told[1]) if told else copy(session)

        fake.on("AssumeRole", answer)
        fake.on("GetCallerIdentity", identity(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/spotd/spotd-probe"))
        fake.on("DescribeRegions", regions("us-east-1", "eu-west-1", closed=("af-south-1",)))

    return make


async def test_a_role_that_refuses_a_wrong_and_a_missing_external_id_is_proven(
    aws: Aws, fake: FakeAws, role: Callable[..., None]
) -> None:
    """Three questions are asked, as the probe, with the right, a wrong and no ExternalId."""
    role()
    assert (await verify_role(aws, GRANT)).account_id == ACCOUNT
    asked = fake.calls("AssumeRole")
    given = [each.params.get("ExternalId") for each in asked]
    assert (given[0], given[2], len(given)) == ("the-right-one", None, 3)
    assert given[1] not in {None, "the-right-one"}
    assert {each.params["RoleSessionName"] for each in asked} == {"spotd-probe"}


@pytest.mark.parametrize("opened", ["wrong", "missing"])
async def test_a_role_that_opens_otherwise_is_refused(aws: Aws, role: Callable[..., None], opened: str) -> None:
    """Either hole is enough for anybody who may use the daemon to reach the account."""
    role(**{opened: None})
    with pytest.raises(RoleIgnoresExternalId, match="sts:ExternalId"):
        await verify_role(aws, GRANT)


@pytest.mark.parametrize("answer", [("Throttling", 400), ("InternalFailure", 500), ("ValidationError", 400)])
@pytest.mark.parametrize("asked", ["wrong", "missing"])
async def test_only_an_explicit_denial_counts_as_refusal(
    aws: Aws, role: Callable[..., None], asked: str, answer: tuple[str, int]
) -> None:
    """A busy or broken STS proves nothing, and the role is not accepted."""
    role(**{asked: answer})
    with pytest.raises(AwsError) as caught:
        await verify_role(aws, GRANT)
    assert caught.value.code == answer[0]


async def test_a_role_that_does_not_open_is_the_owners_to_mend(aws: Aws, fake: FakeAws) -> None:
    """The refusal names the field and what to look at."""
    fake.on("AssumeRole", query_refusal("AccessDenied", status=403))
    with pytest.raises(InvalidInput, match="trust policy") as caught:
        await verify_role(aws, GRANT)
    assert caught.value.field == "role_arn"


async def test_aws_out_of_reach_is_not_the_owners_fault(
    aws: Aws, fake: FakeAws, keys: Callable[[str], AccessKeys]
) -> None:
    """Trouble on the way is told as trouble that passes, never as bad credentials."""
    fake.on("GetCallerIdentity", query_refusal("ServiceUnavailable", status=503))
    with pytest.raises(AwsError) as caught:
        await verify_access_keys(aws, keys(ACCOUNT), account_id=ACCOUNT)
    assert (caught.value.trouble, caught.value.retryable) == (Trouble.TRANSIENT, True)


async def test_keys_without_rights_are_refused_with_the_missing_one(
    aws: Aws, fake: FakeAws, keys: Callable[[str], AccessKeys]
) -> None:
    """Valid keys that may not read EC2 are of no use, and the message says which call was denied."""
    fake.on("GetCallerIdentity", identity(ACCOUNT)).on("DescribeRegions", refusal("UnauthorizedOperation", status=403))
    with pytest.raises(InvalidInput, match="ec2:DescribeRegions"):
        await verify_access_keys(aws, keys(ACCOUNT), account_id=ACCOUNT)


async def test_a_region_without_opt_in_is_told_from_an_unknown_one(aws: Aws, role: Callable[..., None]) -> None:
    """A region that exists but is closed to the account gets its own words."""
    role()
    with pytest.raises(InvalidInput, match="not opted in to region af-south-1") as caught:
        await verify_role(aws, GRANT, regions=["af-south-1"])
    assert caught.value.field == "regions"
    with pytest.raises(InvalidInput, match="unknown region 'mars-1'"):
        await verify_role(aws, GRANT, regions=["mars-1"])


async def test_a_daemon_without_an_identity_says_so(fake: FakeAws, clock: HandClock) -> None:
    """That is the daemon's operator's to mend, not the account owner's."""

    async def nobody() -> None:
        return None

    async with Aws(AwsConfig(endpoint_url=fake.endpoint), clock, own=OwnCredentials(nobody)) as aws:
        with pytest.raises(AwsError, match=r"aws\.profile"):
            await verify_role(aws, GRANT)
    assert fake.seen == []


@pytest.mark.parametrize(
    ("arn", "parts"),
    [
        ("arn:aws:iam::111111111111:role/spotd", ("aws", "111111111111", "", "spotd")),
        ("arn:aws:iam::111111111111:role/a/b/spotd", ("aws", "111111111111", "a/b/", "spotd")),
        ("arn:aws-cn:iam::111111111111:role/x", ("aws-cn", "111111111111", "", "x")),
        ("arn:aws-us-gov:iam::111111111111:role/x+=,.@-_", ("aws-us-gov", "111111111111", "", "x+=,.@-_")),
    ],
)
def test_a_role_arn_is_taken_apart(arn: str, parts: tuple[str, ...]) -> None:
    """Paths and the other partitions are understood."""
    assert sts.parse_role_arn(arn) == parts


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "spotd",
        "arn:aws:iam::11111111111:role/short-account",
        "arn:aws:iam::1111111111111:role/long-account",
        "arn:aws:iam::111111111111:user/spotd",
        "arn:aws:iam::111111111111:role/",
        "arn:aws:iam::111111111111:role/with space",
        "arn:aws:iam::111111111111:role/line\n",
        "arn:aws:iam::١١١١١١١١١١١١:role/digits",
        "arn:aws:sts::111111111111:assumed-role/spotd/x",
        "arn:aws:iam:us-east-1:111111111111:role/spotd",
        "arn:aws-mars:iam::111111111111:role/spotd",
        "arn:aws:iam::111111111111:role/" + "x" * 65,
        "arn:aws:iam::111111111111:role/" + "a/" * 2000 + "x",
    ],
)
def test_what_is_no_role_arn_is_refused_by_field(arn: str) -> None:
    """Nothing is sent to AWS for it."""
    with pytest.raises(InvalidInput, match="role's ARN") as caught:
        sts.parse_role_arn(arn)
    assert caught.value.field == "role_arn"


@pytest.mark.parametrize(
    ("arn", "home", "region"),
    [
        ("arn:aws:iam::111111111111:role/x", "eu-west-1", "eu-west-1"),
        ("arn:aws-cn:iam::111111111111:role/x", "eu-west-1", "cn-north-1"),
        ("arn:aws-cn:iam::111111111111:role/x", "cn-northwest-1", "cn-northwest-1"),
        ("arn:aws-us-gov:iam::111111111111:role/x", "us-east-1", "us-gov-west-1"),
    ],
)
def test_a_role_is_assumed_in_its_own_partition(arn: str, home: str, region: str) -> None:
    """At home where home fits."""
    assert sts.regional(arn, home) == region


def test_external_ids_are_new_each_time_and_of_the_allowed_characters() -> None:
    """128 random bits in a form AWS takes."""
    made = {onboarding.new_external_id() for _ in range(100)}
    assert len(made) == 100
    assert all(each.replace("-", "").isalnum() and 2 <= len(each) <= 1224 for each in made)

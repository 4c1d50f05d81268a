"""Who may call: keys, signatures, roles and their trust, policies, clocks."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotd.sim.process import SimulatedAccount, SimulatedAws


def code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return str(raised.value.response["Error"]["Code"])


def session_keys(credentials: dict[str, Any]) -> dict[str, str]:
    return {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }


async def assume(client: Any, sim: SimulatedAws, role_arn: str, **more: Any) -> Any:
    async with client("sts", sim.daemon) as sts:
        return await sts.assume_role(RoleArn=role_arn, RoleSessionName="spotd", **more)


async def test_each_key_is_its_own_account(sim: SimulatedAws, client: Any) -> None:
    """GetCallerIdentity tells the account whose key signed."""
    for who in (sim.daemon, *sim.accounts):
        async with client("sts", who) as sts:
            identity = await sts.get_caller_identity()
        assert (identity["Account"], identity["Arn"]) == (who.account_id, who.user_arn)


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("ec2", "describe_regions", "AuthFailure"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("sqs", "list_queues", "UnrecognizedClientException"),
    ],
)
async def test_an_unknown_key_is_refused(client: Any, service: str, operation: str, expected: str) -> None:
    """Each protocol has its own word for a key that does not exist."""
    keys = {"aws_access_key_id": "AKIAXXXXXXXXXXXXXXXX", "aws_secret_access_key": "none"}
    async with client(service, keys) as aws:
        with pytest.raises(ClientError) as raised:
            await getattr(aws, operation)()
    assert code(raised) == expected


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("ec2", "describe_regions", "AuthFailure"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("sqs", "list_queues", "InvalidSignatureException"),
    ],
)
async def test_a_wrong_secret_is_refused(
    account: SimulatedAccount, client: Any, service: str, operation: str, expected: str
) -> None:
    """The signature is really checked."""
    keys = {"aws_access_key_id": account.access_key_id, "aws_secret_access_key": "wrong"}
    async with client(service, keys) as aws:
        with pytest.raises(ClientError) as raised:
            await getattr(aws, operation)()
    assert code(raised) == expected


async def test_a_role_opens_its_own_account(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Credentials of an assumed role act in the role's account, not in the caller's."""
    answer = await assume(client, sim, account.role_arn, ExternalId=account.external_id)
    async with client("sts", session_keys(answer["Credentials"])) as sts:
        identity = await sts.get_caller_identity()
    assert identity["Account"] == account.account_id
    assert identity["Arn"] == f"arn:aws:sts::{account.account_id}:assumed-role/spotd/spotd"


@pytest.mark.parametrize("sent", [{"ExternalId": "guessed"}, {}])
async def test_a_role_refuses_other_external_ids(
    sim: SimulatedAws, account: SimulatedAccount, client: Any, sent: dict[str, str]
) -> None:
    """A wrong and a missing ExternalId are both AccessDenied."""
    with pytest.raises(ClientError) as raised:
        await assume(client, sim, account.role_arn, **sent)
    assert code(raised) == "AccessDenied"


@pytest.mark.parametrize("sent", [{"ExternalId": "guessed"}, {}])
async def test_the_careless_role_lets_anybody_in(
    sim: SimulatedAws, account: SimulatedAccount, client: Any, sent: dict[str, str]
) -> None:
    """The role without the condition ignores the ExternalId: an onboarding must notice it."""
    answer = await assume(client, sim, account.open_role_arn, **sent)
    assert account.account_id in answer["AssumedRoleUser"]["Arn"]


async def test_a_role_that_does_not_exist_is_denied(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """AWS does not tell whether a role exists, and neither does this."""
    for arn in (f"arn:aws:iam::{account.account_id}:role/none", "arn:aws:iam::123456789012:role/spotd"):
        with pytest.raises(ClientError) as raised:
            await assume(client, sim, arn)
        assert code(raised) == "AccessDenied"


async def test_a_malformed_arn_is_invalid(sim: SimulatedAws, client: Any) -> None:
    """What is no role's ARN at all is refused as such, not as denied."""
    with pytest.raises(ClientError) as raised:
        await assume(client, sim, "arn:aws:iam::12:user/not-a-role")
    assert code(raised) == "ValidationError"


async def test_trust_follows_the_policy_in_force(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """A trust policy that IAM was given through its own API decides from then on."""
    condition = {"StringEquals": {"sts:ExternalId": "another"}}
    trusted = {"AWS": f"arn:aws:iam::{sim.daemon.account_id}:root"}
    statement = {"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole", "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    async with client("iam", account) as iam:
        await iam.update_assume_role_policy(RoleName="spotd", PolicyDocument=document)
    try:
        await assume(client, sim, account.role_arn, ExternalId="another")
        with pytest.raises(ClientError):
            await assume(client, sim, account.role_arn, ExternalId=account.external_id)
    finally:
        sim.control("trust", {"role_arn": account.role_arn, "external_id": account.external_id})


async def test_only_trusted_principals_assume(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """Another account than the trusted one is denied although it knows the ExternalId."""
    async with client("sts", sim.accounts[1]) as sts:
        with pytest.raises(ClientError) as raised:
            await sts.assume_role(RoleArn=account.role_arn, RoleSessionName="spotd", ExternalId=account.external_id)
    assert code(raised) == "AccessDenied"


async def test_sessions_end(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """After its end a session's credentials are refused as expired, in each protocol's word."""
    answer = await assume(client, sim, account.role_arn, ExternalId=account.external_id)
    keys = session_keys(answer["Credentials"])
    sim.control("expire-sessions", {})
    for service, operation, expected in (
        ("ec2", "describe_regions", "RequestExpired"),
        ("sts", "get_caller_identity", "ExpiredToken"),
    ):
        async with client(service, keys) as aws:
            with pytest.raises(ClientError) as raised:
                await getattr(aws, operation)()
        assert code(raised) == expected


async def test_a_skewed_clock_is_refused(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """More than 15 minutes between the clocks and no signature holds."""
    sim.control("clock", {"offset_seconds": 3600})
    async with client("sts", account) as sts:
        with pytest.raises(ClientError) as raised:
            await sts.get_caller_identity()
    assert code(raised) == "SignatureDoesNotMatch"


async def test_policies_deny_what_they_do_not_allow(sim: SimulatedAws, account: SimulatedAccount, client: Any) -> None:
    """A principal with a policy may do what the policy allows, and nothing else."""
    statement = {"Effect": "Allow", "Action": ["ec2:Describe*"], "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    sim.control("policy", {"arn": account.user_arn, "document": document})
    try:
        async with client("ec2", account) as ec2, client("autoscaling", account) as scaling:
            assert await ec2.describe_regions()
            with pytest.raises(ClientError) as launching:
                await ec2.run_instances(ImageId="ami-1", InstanceType="m5.large", MinCount=1, MaxCount=1)
            with pytest.raises(ClientError) as looking:
                await scaling.describe_auto_scaling_groups()
    finally:
        sim.control("policy", {"arn": account.user_arn, "document": None})
    assert (code(launching), code(looking)) == ("UnauthorizedOperation", "AccessDenied")


async def test_regions_not_opted_into_refuse(account: SimulatedAccount, client: Any) -> None:
    """In a region that the account has not enabled, its credentials mean nothing."""
    async with client("ec2", account, "af-south-1") as ec2:
        with pytest.raises(ClientError) as raised:
            await ec2.describe_instances()
    assert code(raised) == "AuthFailure"

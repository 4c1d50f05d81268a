"""Security Token Service: who a key belongs to, and sessions of roles; always the regional endpoint."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Protocol

from aiobotocore.credentials import AioCredentials

from spotd.aws.credentials import Lease
from spotd.aws.errors import AwsError, Call, MalformedReply, classify
from spotd.errors import InvalidInput
from spotd.model.account import RoleGrant

SESSION_NAME: Final = "spotd"
PROBE_NAME: Final = "spotd-probe"
DURATION: Final = 3600
"""Seconds a session lasts: the most AWS gives to a session that another session asked for."""

ROLE_ARN: Final = re.compile(
    r"arn:(?P<partition>aws(?:-cn|-us-gov)?):iam::(?P<account>\d{12}):role/(?P<path>(?:[\x21-\x2e\x30-\x7e]+/)*)(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)
LONGEST_ARN: Final = 2048
PARTITION_REGIONS: Final = {"aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}


class Caller(Protocol):
    """Sends one operation to AWS."""

    @property
    def account_id(self) -> str:
        """Whom the calls are made for."""

    async def call(self, service: str, region: str, operation: str, **params: Any) -> dict[str, Any]:
        """Return AWS's answer; raises AwsError."""
        ...


class Identity(NamedTuple):
    """Who a set of credentials is."""

    account_id: str
    arn: str


class RoleArn(NamedTuple):
    """The parts of a role's ARN; `path` is empty or ends with a slash."""

    partition: str
    account_id: str
    path: str
    name: str


def parse_role_arn(arn: str) -> RoleArn:
    """Return the parts of a role's ARN; raises InvalidInput."""
    match = ROLE_ARN.fullmatch(arn) if len(arn) <= LONGEST_ARN else None
    if match is None:
        raise InvalidInput(
            "not a role's ARN: expected arn:aws:iam::<12 digits>:role/<path and name>, as IAM shows it",
            field="role_arn",
        )
    return RoleArn(match["partition"], match["account"], match["path"], match["name"])


def regional(role_arn: str, home_region: str) -> str:
    """Return the region in which a role is assumed: home, unless the role lives in another partition."""
    partition = parse_role_arn(role_arn).partition
    if partition == partition_of(home_region):
        return home_region
    return PARTITION_REGIONS.get(partition, "us-east-1")


def partition_of(region: str) -> str:
    """Return the partition a region belongs to."""
    return next((each for each in PARTITION_REGIONS if region.startswith(each.removeprefix("aws-") + "-")), "aws")


async def caller_identity(session: Caller, region: str) -> Identity:
    """Return who the session's credentials are; raises AwsError."""
    reply = await session.call("sts", region, "GetCallerIdentity")
    try:
        return Identity(str(reply["Account"]), str(reply["Arn"]))
    except KeyError as error:
        raise _malformed(session, region, "GetCallerIdentity", str(error)) from None


async def assume_role(
    own: Caller, region: str, grant: RoleGrant, *, session_name: str, external_id: str | None = None
) -> Lease:
    """Return a session of the role, with the grant's ExternalId unless another is given; raises AwsError."""
    return await _assume(own, region, grant.role_arn, session_name, {"ExternalId": external_id or grant.external_id})


async def assume_role_without_external_id(own: Caller, region: str, role_arn: str) -> Lease:
    """Return a session of a role that asks for no ExternalId; raises AwsError, as it should for any role of ours."""
    return await _assume(own, region, role_arn, PROBE_NAME, {})


async def _assume(own: Caller, region: str, role_arn: str, session_name: str, proof: Mapping[str, str]) -> Lease:
    reply = await own.call(
        "sts", region, "AssumeRole", RoleArn=role_arn, RoleSessionName=session_name, DurationSeconds=DURATION, **proof
    )
    given = reply.get("Credentials") or {}
    try:
        credentials = AioCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
        return Lease(credentials, _utc(given["Expiration"]))
    except KeyError as error:
        raise _malformed(own, region, "AssumeRole", str(error)) from None


def _malformed(session: Caller, region: str, operation: str, field: str) -> AwsError:
    call = Call(session.account_id, region, "sts", operation)
    return classify(MalformedReply(f"/{field}", "missing"), call)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)

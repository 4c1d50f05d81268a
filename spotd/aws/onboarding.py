"""Proof that credentials are what their owner says: keys of this account, a role that asks for its ExternalId."""

import secrets
from collections.abc import Collection
from difflib import get_close_matches

from spotd.aws import sts
from spotd.aws.errors import AwsError, Denial, Trouble
from spotd.aws.instances import enabled_regions
from spotd.aws.session import AccountSession, Aws
from spotd.errors import InvalidInput
from spotd.model.account import AccessKeys, RoleGrant


class RoleIgnoresExternalId(InvalidInput):
    """The role lets in a caller without its ExternalId."""

    code = "role_ignores_external_id"


def new_external_id() -> str:
    """Return a new ExternalId; it is made here and never by an account's owner, who could choose another's."""
    return f"spotd-{secrets.token_hex(16)}"


async def verify_access_keys(
    aws: Aws, keys: AccessKeys, *, account_id: str, regions: Collection[str] = ()
) -> sts.Identity:
    """Prove a key pair: it is valid, belongs to the account, may list regions, and knows the wanted ones.

    Raises InvalidInput for what AWS refuses, AwsError when AWS could not be asked.
    """
    session = aws.probe_session(account_id, keys)
    try:
        identity = await sts.caller_identity(session, session.home_region)
        _require_account(identity, account_id, "access_key_id")
        await _require_regions(session, regions)
    except AwsError as error:
        raise _refusal(error, "access_key_id") or error from None
    return identity


async def verify_role(aws: Aws, grant: RoleGrant, *, regions: Collection[str] = ()) -> sts.Identity:
    """Prove a role: it opens with its ExternalId, and neither with a wrong one nor without.

    Raises InvalidInput for what AWS refuses, RoleIgnoresExternalId when a proof fails, AwsError when AWS could not be
    asked: only an explicit AccessDenied counts as the role's refusal.
    """
    account_id = sts.parse_role_arn(grant.role_arn).account_id
    session = aws.probe_session(account_id, grant, name=sts.PROBE_NAME)
    try:
        identity = await sts.caller_identity(session, session.home_region)
        _require_account(identity, account_id, "role_arn")
        await _require_regions(session, regions)
    except AwsError as error:
        raise _refusal(error, "role_arn") or error from None
    await _require_external_id(aws.own(), grant)
    return identity


async def own_identity(aws: Aws) -> sts.Identity:
    """Return who the daemon itself is to AWS; raises AwsError."""
    return await sts.caller_identity(aws.own(), aws.own().home_region)


async def _require_external_id(own: AccountSession, grant: RoleGrant) -> None:
    region = sts.regional(grant.role_arn, own.home_region)
    wrong = new_external_id()
    try:
        await sts.assume_role(own, region, grant, session_name=sts.PROBE_NAME, external_id=wrong)
    except AwsError as error:
        _require_access_denied(error)
    else:
        raise RoleIgnoresExternalId(_ignored("a wrong ExternalId"), field="role_arn")
    try:
        await sts.assume_role_without_external_id(own, region, grant.role_arn)
    except AwsError as error:
        _require_access_denied(error)
    else:
        raise RoleIgnoresExternalId(_ignored("no ExternalId"), field="role_arn")


def _require_access_denied(error: AwsError) -> None:
    """Anything else (throttled, unreachable, malformed) proves nothing about the role."""
    if error.code != "AccessDenied":
        raise error


async def _require_regions(session: AccountSession, regions: Collection[str]) -> None:
    """Prove EC2 access by asking for the regions, and that the wanted ones are among them; raises InvalidInput."""
    known = await enabled_regions(session)
    for region in sorted(set(regions) - set(known.enabled)):
        if region in known.denied:
            raise InvalidInput(f"the account has not opted in to region {region}", field="regions")
        near = get_close_matches(region, known.enabled, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidInput(f"unknown region {region!r}{hint}", field="regions")


def _require_account(identity: sts.Identity, account_id: str, field: str) -> None:
    if identity.account_id != account_id:
        raise InvalidInput(f"these credentials belong to account {identity.account_id}, not {account_id}", field=field)


def _refusal(error: AwsError, field: str) -> InvalidInput | None:
    """Return what to tell the owner, None where it is not about what the owner gave."""
    if error.trouble not in {Trouble.DENIED, Trouble.PERMANENT} or error.code == "NoOwnIdentity":
        return None
    if error.operation == "AssumeRole":
        told = "AWS refused to open the role: does its trust policy name this daemon and the ExternalId given out?"
    elif error.denial is Denial.CREDENTIALS:
        told = "AWS does not accept these credentials"
    else:
        told = f"the credentials are valid but may not call {error.service}:{error.operation}; see the policy given out"
    return InvalidInput(f"{told} ({error.code}: {error.message})", field=field)


def _ignored(what: str) -> str:
    return (
        f"the role lets in a caller with {what}: anybody who may use this daemon could reach the account. "
        "Add the condition sts:ExternalId of the trust policy given out."
    )

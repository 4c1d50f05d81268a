"""Who calls: access keys, signatures, assumed roles with their trust policies, and what policies allow."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from uuid import uuid4

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from spotd.sim.backends import Moto
from spotd.sim.errors import ServiceError
from spotd.sim.protocol import Call

MAX_SKEW = timedelta(minutes=15)
_ROLE_ARN = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")
_IAM_PREFIX = {"elbv2": "elasticloadbalancing"}
_ALWAYS_ALLOWED = frozenset({"sts.GetCallerIdentity"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller: a user's key, or a role's session with the moment it ends."""

    account_id: str
    arn: str
    user_id: str
    secret: str
    token: str | None = None
    expires_at: datetime | None = None
    role_arn: str | None = None


class Identities:
    """All principals of all accounts; users, keys, roles and policies live in moto's IAM."""

    def __init__(self, moto: Moto, account_ids: Sequence[str]) -> None:
        self._moto = moto
        self._account_ids = account_ids
        self._sessions: dict[str, Principal] = {}

    def find(self, access_key_id: str) -> Principal | None:
        """The principal behind an access key id."""
        return self._sessions.get(access_key_id) or self._user(access_key_id)

    def _user(self, access_key_id: str) -> Principal | None:
        for account_id in self._account_ids:
            iam = self._moto.iam(account_id)
            key = iam.access_keys.get(access_key_id)
            if key is not None and key.status == "Active" and key.user_name in iam.users:
                user = iam.users[key.user_name]
                return Principal(account_id=account_id, arn=user.arn, user_id=user.id, secret=key.secret_access_key)
        return None

    def authenticate(self, call: Call, now: datetime) -> Principal:
        """The caller, proven by signature, token and time; raises the refusal AWS would give."""
        principal = self.find(call.access_key_id)
        if principal is None or principal.token != call.request.headers.get("x-amz-security-token"):
            raise unknown_key(call)
        if principal.expires_at is not None and now >= principal.expires_at:
            raise _expired(call)
        signed_at = call.request.headers.get("x-amz-date", "")
        if abs(now - _parse_amz_date(signed_at)) > MAX_SKEW:
            raise _skewed(call, signed_at, now)
        if _signature(call, principal) not in call.request.headers["authorization"]:
            raise _bad_signature(call)
        return principal

    def authorize(self, call: Call, principal: Principal) -> None:
        """Refuse what the principal's own policies deny; a principal without policies may do everything."""
        policies = list(self._policies(principal))
        if call.name in _ALWAYS_ALLOWED or not policies:
            return
        effects = {effect for policy in policies for effect in _effects(policy, call)}
        if "Deny" in effects or "Allow" not in effects:
            raise denied(call, principal.arn)

    def _policies(self, principal: Principal) -> Iterator[Mapping[str, Any]]:
        iam = self._moto.iam(principal.account_id)
        if principal.role_arn:
            holder = iam.get_role_by_arn(principal.role_arn)
        else:
            holder = next((user for user in iam.users.values() if user.arn == principal.arn), None)
        if holder is None:
            return
        for document in holder.policies.values():
            yield json.loads(document) if isinstance(document, str) else document
        for managed in holder.managed_policies.values():
            yield json.loads(managed.document)

    def assume(self, call: Call, principal: Principal, now: datetime) -> tuple[str, Principal]:
        """A new session of the role, if its trust policy lets this caller in: (access key id, session)."""
        arn = str(call.params["RoleArn"])
        if not _ROLE_ARN.fullmatch(arn):
            raise ServiceError("ValidationError", f"{arn} is invalid")
        account_id, name = arn.split(":")[4], arn.rpartition("/")[2]
        role = self._role(account_id, arn)
        if role is None or not _trusted(json.loads(role.assume_role_policy_document), call, principal):
            message = f"User: {principal.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
            raise ServiceError("AccessDenied", message, 403)
        access_key_id = f"ASIA{uuid4().hex[:16].upper()}"
        session = str(call.params["RoleSessionName"])
        self._sessions[access_key_id] = Principal(
            account_id=account_id,
            arn=f"arn:aws:sts::{account_id}:assumed-role/{name}/{session}",
            user_id=f"{role.id}:{session}",
            secret=uuid4().hex + uuid4().hex[:8],
            token=f"IQoJb3JpZ2luX2VjE{uuid4().hex * 4}",
            expires_at=now + timedelta(seconds=call.params.get("DurationSeconds", 3600)),
            role_arn=arn,
        )
        return access_key_id, self._sessions[access_key_id]

    def _role(self, account_id: str, arn: str) -> Any | None:
        if account_id not in self._account_ids:
            return None
        return next((role for role in self._moto.iam(account_id).roles.values() if role.arn == arn), None)

    def expire_sessions(self, now: datetime) -> int:
        """End every session at once, as a test of renewal; says how many."""
        self._sessions = {key: _ended(session, now) for key, session in self._sessions.items()}
        return len(self._sessions)


def _ended(session: Principal, now: datetime) -> Principal:
    kept = {name: getattr(session, name) for name in Principal.__dataclass_fields__}
    return Principal(**{**kept, "expires_at": now})


# --- signatures --------------------------------------------------------------


def _signature(call: Call, principal: Principal) -> str:
    """The signature the caller should have sent (botocore computes it from the headers that were signed)."""
    request = call.request
    authorization = request.headers["authorization"]
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    url = f"http://{request.headers.get('host', '')}{request.path}" + (f"?{request.query}" if request.query else "")
    headers = {name: request.headers.get(name, "") for name in signed}
    copy = AWSRequest(method=request.method, url=url, data=request.body, headers=headers)
    copy.context["timestamp"] = request.headers.get("x-amz-date", "")
    scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
    auth = SigV4Auth(Credentials(call.access_key_id, principal.secret), scope[3], scope[2])
    return str(auth.signature(auth.string_to_sign(copy, auth.canonical_request(copy)), copy))


def _parse_amz_date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


# --- policies ----------------------------------------------------------------


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _effects(policy: Mapping[str, Any], call: Call) -> Iterator[str]:
    """The effects of the statements that speak about the call; resources are not told apart, most conditions hold."""
    action = f"{_IAM_PREFIX.get(call.service, call.service)}:{call.operation}".lower()
    for statement in _as_list(policy["Statement"]):
        named = any(fnmatchcase(action, str(pattern).lower()) for pattern in _as_list(statement.get("Action", [])))
        if "NotAction" in statement:
            excluded = _as_list(statement["NotAction"])
            named = not any(fnmatchcase(action, str(pattern).lower()) for pattern in excluded)
        if named and _region_allowed(statement, call.region):
            yield statement["Effect"]


def _region_allowed(statement: Mapping[str, Any], region: str) -> bool:
    condition = statement.get("Condition", {})
    wanted = condition.get("StringEquals", {}).get("aws:RequestedRegion")
    unwanted = condition.get("StringNotEquals", {}).get("aws:RequestedRegion")
    return (wanted is None or region in _as_list(wanted)) and (unwanted is None or region not in _as_list(unwanted))


def _trusted(policy: Mapping[str, Any], call: Call, principal: Principal) -> bool:
    statements = [statement for statement in _as_list(policy["Statement"]) if _speaks_to(statement, call, principal)]
    effects = {statement["Effect"] for statement in statements}
    return "Allow" in effects and "Deny" not in effects


def _speaks_to(statement: Mapping[str, Any], call: Call, principal: Principal) -> bool:
    if not any(fnmatchcase("sts:AssumeRole", str(action)) for action in _as_list(statement.get("Action", []))):
        return False
    trusted = statement.get("Principal", {})
    names = ["*"] if trusted == "*" else _as_list(trusted.get("AWS", []))
    root = f"arn:aws:iam::{principal.account_id}:root"
    caller = {"*", principal.account_id, root, principal.arn, principal.role_arn}
    return bool(caller & set(names)) and _conditions_hold(statement.get("Condition", {}), call)


def _conditions_hold(condition: Mapping[str, Any], call: Call) -> bool:
    sent = call.params.get("ExternalId")
    for operator, keys in condition.items():
        wanted = {key.lower(): value for key, value in keys.items()}.get("sts:externalid")
        if wanted is not None and not _matches(operator, sent, _as_list(wanted)):
            return False
    return True


def _matches(operator: str, sent: str | None, wanted: Sequence[str]) -> bool:
    match operator:
        case "StringEquals":
            return sent in wanted
        case "StringLike":
            return sent is not None and any(fnmatchcase(sent, pattern) for pattern in wanted)
        case "StringNotEquals":
            return sent not in wanted
        case _:
            return False


# --- refusals, in the words of each protocol ----------------------------------


def unknown_key(call: Call) -> ServiceError:
    """What a service answers to credentials it does not know, or a region the account has not enabled."""
    match call.protocol:
        case "ec2":
            return ServiceError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        case "json":
            return ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.")
        case _:
            return ServiceError("InvalidClientTokenId", "The security token included in the request is invalid.", 403)


def denied(call: Call, arn: str) -> ServiceError:
    """What a service answers to a caller whose policies do not allow the call."""
    action = f"{_IAM_PREFIX.get(call.service, call.service)}:{call.operation}"
    message = f"User: {arn} is not authorized to perform: {action} because no identity-based policy allows it"
    match call.protocol:
        case "ec2":
            return ServiceError(
                "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", 403
            )
        case "json":
            return ServiceError("AccessDeniedException", message)
        case _:
            return ServiceError("AccessDenied", message, 403)


def _expired(call: Call) -> ServiceError:
    code = {"ec2": "RequestExpired", "json": "ExpiredTokenException"}.get(call.protocol, "ExpiredToken")
    return ServiceError(code, "The security token included in the request is expired", 400)


def _skewed(call: Call, signed_at: str, now: datetime) -> ServiceError:
    message = f"Signature expired: {signed_at} is not within 15 minutes of {now:%Y%m%dT%H%M%SZ}"
    match call.protocol:
        case "ec2":
            return ServiceError("RequestExpired", f"Request has expired. Timestamp date is {signed_at}.")
        case "json":
            return ServiceError("InvalidSignatureException", message)
        case _:
            return ServiceError("SignatureDoesNotMatch", message, 403)


def _bad_signature(call: Call) -> ServiceError:
    message = "The request signature we calculated does not match the signature you provided."
    match call.protocol:
        case "ec2":
            return ServiceError("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
        case "json":
            return ServiceError("InvalidSignatureException", message)
        case _:
            return ServiceError("SignatureDoesNotMatch", message, 403)

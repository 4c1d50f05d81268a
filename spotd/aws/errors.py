"""What can go wrong with an AWS call, in five kinds; the only file that knows AWS's error codes."""

import re
from enum import StrEnum
from typing import Final, NamedTuple

from aiohttp import ClientError as HttpError
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from spotd.errors import SpotdError
from spotd.log import redact_text


class Trouble(StrEnum):
    """The five kinds of trouble, by what the caller may do about it."""

    TRANSIENT = "transient"
    """AWS or the way to it is broken for the moment: try again later."""
    THROTTLED = "throttled"
    """AWS says "slower"."""
    NO_CAPACITY = "no_capacity"
    """The pool is empty or a limit is reached: try another pool."""
    DENIED = "denied"
    """This caller may not do this: a person has to act."""
    PERMANENT = "permanent"
    """The call is wrong and will be wrong again."""


class Denial(StrEnum):
    """Why a call was denied."""

    CREDENTIALS = "credentials"
    """The keys or the session are not, or no longer, valid."""
    PERMISSION = "permission"
    """The policies of the role or user do not allow this operation."""
    POLICY = "policy"
    """A policy above the account (SCP, RCP) or a permissions boundary forbids it."""
    OPT_IN = "opt_in"
    """The account has not opted in to the region or the service."""


class Call(NamedTuple):
    """Which call failed."""

    account_id: str
    region: str
    service: str
    operation: str


NO_CALL: Final = Call("", "", "", "")


class AwsError(SpotdError):
    """An AWS call failed; `code` is AWS's own code where it gave one, `status` the HTTP status."""

    def __init__(
        self, trouble: Trouble, code: str, message: str, call: Call = NO_CALL, *, status: int | None = None
    ) -> None:
        self.message = _told(code, message)
        super().__init__(f"{_place(call)}{code}: {self.message}")
        self.trouble = trouble
        self.code = code
        self.retryable = trouble in {Trouble.TRANSIENT, Trouble.THROTTLED, Trouble.NO_CAPACITY}
        self.call = call
        self.status = status
        self.account_id, self.region, self.service, self.operation = call

    @property
    def denial(self) -> Denial | None:
        """Why the call was denied, or None if it was not."""
        if self.trouble is not Trouble.DENIED:
            return None
        if self.code in OPT_IN:
            return Denial.OPT_IN
        if self.code in CREDENTIALS or self.operation == "AssumeRole":
            return Denial.CREDENTIALS
        return Denial.POLICY if FORBIDDEN_FROM_ABOVE.search(self.message) else Denial.PERMISSION

    @property
    def expired(self) -> bool:
        """Whether a new session for the same role may help."""
        return self.code in EXPIRED

    @property
    def counts_against_endpoint(self) -> bool:
        """Whether the endpoint itself failed: no answer, a broken one, or a 5xx that is not "slower"."""
        return self.trouble is Trouble.TRANSIENT and (self.status is None or self.status >= SERVER_ERROR)


class MalformedReply(SpotdError):
    """AWS's answer lacks what it must have; `pointer` (RFC 6901) says where."""

    code = "malformed_reply"
    retryable = True

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.pointer = pointer
        self.detail = detail


class UnsignedCall(SpotdError):
    """A call was about to be sent without an account's credentials; nothing was sent."""

    code = "unsigned_call"


SERVER_ERROR: Final = 500
TOO_MANY_REQUESTS: Final = 429
DENYING: Final = frozenset({401, 403})

THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
NO_CAPACITY: Final = frozenset(
    {
        "InstanceLimitExceeded",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "MaxSpotInstanceCountExceeded",
        "ReservationCapacityExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",
        "VcpuLimitExceeded",
    }
)
OPT_IN: Final = frozenset({"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"})
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
CREDENTIALS: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "NoOwnIdentity",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
DENIED: Final = (
    OPT_IN
    | CREDENTIALS
    | frozenset(
        {
            "AccessDenied",
            "AccessDeniedException",
            "Blocked",
            "NotAuthorized",
            "PendingVerification",
            "UnauthorizedOperation",
        }
    )
)
TRANSIENT: Final = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Unavailable",
    }
)
CLOCK: Final = frozenset({"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"})
KINDS: Final = (
    (THROTTLED, Trouble.THROTTLED),
    (NO_CAPACITY, Trouble.NO_CAPACITY),
    (DENIED, Trouble.DENIED),
    (TRANSIENT, Trouble.TRANSIENT),
)

SKEWED: Final = re.compile(r"signature (expired|not yet current)|is now (earlier|later) than", re.IGNORECASE)
FORBIDDEN_FROM_ABOVE: Final = re.compile(
    r"service control policy|resource control policy|permissions boundary", re.IGNORECASE
)
SENSITIVE_TAIL: Final = re.compile(
    r"(Encoded authorization failure message|The Canonical String|The String-to-Sign).*", re.DOTALL
)
LONGEST_MESSAGE: Final = 500
CLOCK_HINT: Final = "this machine's clock and AWS's differ by more than AWS allows; set the clock (NTP)"

NO_IDENTITY: Final = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.ProfileNotFound,
    boto.CredentialRetrievalError,
    boto.ConfigParseError,
    boto.InvalidConfigError,
    boto.TokenRetrievalError,
    boto.SSOError,
)
UNREACHABLE: Final = (boto.HTTPClientError, boto.ConnectionError, HttpError, TimeoutError, OSError)
WRONG_NAME: Final = (boto.InvalidRegionError, boto.UnknownEndpointError)
CUT: Final = (boto.IncompleteReadError, ValueError, MalformedReply)
WIRE_ERRORS: Final = (boto.ClientError, boto.BotoCoreError, ResponseParserError, *UNREACHABLE, *CUT)
"""Everything a call through botocore may raise; what is not in here is a bug of ours."""


def classify(error: Exception, call: Call = NO_CALL) -> AwsError:
    """Return the AwsError that says what `error`, one of WIRE_ERRORS, means."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, boto.ClientError):
        return _refused(error, call)
    return AwsError(*_failed(error), call)


def trouble_of(code: str, status: int | None = None, message: str = "") -> Trouble:
    """Return the kind of an AWS error code; an unknown code is judged by its HTTP status."""
    if code in CLOCK or SKEWED.search(message):
        return Trouble.TRANSIENT
    for codes, trouble in KINDS:
        if code in codes:
            return trouble
    if status == TOO_MANY_REQUESTS:
        return Trouble.THROTTLED
    if status in DENYING:
        return Trouble.DENIED
    return Trouble.TRANSIENT if status is not None and status >= SERVER_ERROR else Trouble.PERMANENT


def _refused(error: boto.ClientError, call: Call) -> AwsError:
    answer = error.response.get("Error", {})
    code, message = str(answer.get("Code") or "Unknown"), str(answer.get("Message") or "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return AwsError(trouble_of(code, status, message), code, message, call, status=status)


def _failed(error: Exception) -> tuple[Trouble, str, str]:
    """Return kind, code and message of a call that AWS did not answer, or not in a form one can read."""
    name, told = type(error).__name__, str(error)
    if isinstance(error, NO_IDENTITY):
        return Trouble.DENIED, "NoOwnIdentity", f"no usable AWS identity for the daemon: {told}"
    if isinstance(error, ResponseParserError):  # its text repeats the body, which may hold a session's secret
        return Trouble.TRANSIENT, "MalformedReply", "the answer is cut or is not what AWS sends"
    if isinstance(error, CUT) and not isinstance(error, WRONG_NAME):
        return Trouble.TRANSIENT, "MalformedReply", f"the answer is cut or malformed: {told}"
    if isinstance(error, UNREACHABLE):
        return Trouble.TRANSIENT, name, told or "no answer in time"
    return Trouble.PERMANENT, name, told


def _place(call: Call) -> str:
    return f"{call.service}:{call.operation} in {call.region} for {call.account_id}: " if call.operation else ""


def _told(code: str, message: str) -> str:
    """Return the message without secrets, as it is stored and served, and with the hint a person needs."""
    told = redact_text(SENSITIVE_TAIL.sub("", message)).strip()[:LONGEST_MESSAGE]
    return f"{told} ({CLOCK_HINT})" if code in CLOCK or SKEWED.search(message) else told

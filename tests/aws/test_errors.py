"""What AWS's errors mean."""

import pytest
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from hypothesis import given
from hypothesis import strategies as st

from spotd.aws import errors
from spotd.aws.errors import AwsError, Call, Denial, Trouble, classify, trouble_of

CALL = Call("111111111111", "eu-west-1", "ec2", "DescribeInstances")


def refused(code: str, message: str = "no", status: int = 400) -> AwsError:
    """Return what a ClientError of botocore becomes."""
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return classify(boto.ClientError(answer, "DescribeInstances"), CALL)


@pytest.mark.parametrize(
    ("code", "status", "trouble"),
    [
        ("RequestLimitExceeded", 503, Trouble.THROTTLED),
        ("Throttling", 400, Trouble.THROTTLED),
        ("NewKindOfSlow", 429, Trouble.THROTTLED),
        ("InsufficientInstanceCapacity", 500, Trouble.NO_CAPACITY),
        ("VcpuLimitExceeded", 400, Trouble.NO_CAPACITY),
        ("UnauthorizedOperation", 403, Trouble.DENIED),
        ("NeverHeardOf", 403, Trouble.DENIED),
        ("Unavailable", 503, Trouble.TRANSIENT),
        ("NeverHeardOf", 502, Trouble.TRANSIENT),
        ("500", 500, Trouble.TRANSIENT),
        ("InvalidParameterValue", 400, Trouble.PERMANENT),
        ("NeverHeardOf", 400, Trouble.PERMANENT),
    ],
)
def test_each_code_has_its_kind(code: str, status: int, trouble: Trouble) -> None:
    """Codes decide; the HTTP status decides for codes nobody has seen."""
    assert refused(code, status=status).trouble is trouble


def test_no_code_is_in_two_kinds() -> None:
    """The order in which the sets are asked does not matter."""
    kinds = [codes for codes, _trouble in errors.KINDS]
    assert sum(map(len, kinds)) == len(frozenset().union(*kinds))


@pytest.mark.parametrize(
    ("error", "trouble", "code"),
    [
        (boto.EndpointConnectionError(endpoint_url="http://x"), Trouble.TRANSIENT, "EndpointConnectionError"),
        (boto.ConnectTimeoutError(endpoint_url="http://x"), Trouble.TRANSIENT, "ConnectTimeoutError"),
        (boto.ReadTimeoutError(endpoint_url="http://x"), Trouble.TRANSIENT, "ReadTimeoutError"),
        (boto.ConnectionClosedError(endpoint_url="http://x"), Trouble.TRANSIENT, "ConnectionClosedError"),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), Trouble.TRANSIENT, "MalformedReply"),
        (ResponseParserError("b'<SecretAccessKey>hush'"), Trouble.TRANSIENT, "MalformedReply"),
        (ValueError('Invalid timestamp "x"'), Trouble.TRANSIENT, "MalformedReply"),
        (TimeoutError(), Trouble.TRANSIENT, "TimeoutError"),
        (boto.NoCredentialsError(), Trouble.DENIED, "NoOwnIdentity"),
        (boto.ProfileNotFound(profile="x"), Trouble.DENIED, "NoOwnIdentity"),
        (boto.ParamValidationError(report="x"), Trouble.PERMANENT, "ParamValidationError"),
        (boto.InvalidRegionError(region_name="x y"), Trouble.PERMANENT, "InvalidRegionError"),
    ],
)
def test_what_never_became_an_answer_has_its_kind(error: Exception, trouble: Trouble, code: str) -> None:
    """The network, the parser and the local configuration are told apart."""
    assert isinstance(error, errors.WIRE_ERRORS)
    found = classify(error, CALL)
    assert (found.trouble, found.code) == (trouble, code)
    assert "hush" not in str(found)


def test_an_error_says_where_it_happened() -> None:
    """Whoever reads the log learns the call, the region and the account."""
    text = str(refused("UnauthorizedOperation", "You are not authorized.", 403))
    assert text == (
        "ec2:DescribeInstances in eu-west-1 for 111111111111: UnauthorizedOperation: You are not authorized."
    )


def test_the_encoded_half_of_a_refusal_is_cut_off() -> None:
    """Nobody reads a kilobyte of base64, and it names resources of the account."""
    error = refused("UnauthorizedOperation", "No. Encoded authorization failure message: " + "x" * 900, 403)
    assert str(error).endswith("UnauthorizedOperation: No.")


@pytest.mark.parametrize(
    ("code", "denial"),
    [
        ("InvalidClientTokenId", Denial.CREDENTIALS),
        ("ExpiredToken", Denial.CREDENTIALS),
        ("AuthFailure", Denial.CREDENTIALS),
        ("OptInRequired", Denial.OPT_IN),
        ("AccessDenied", Denial.PERMISSION),
    ],
)
def test_a_denial_has_its_reason(code: str, denial: Denial) -> None:
    """Lost credentials, a closed region and a missing permission ask for different people."""
    assert refused(code, status=403).denial is denial
    assert refused("InternalError", status=500).denial is None


def test_only_failures_of_the_endpoint_count_against_it() -> None:
    """A 4xx is an answer; a clock that is wrong is ours."""
    assert refused("InternalError", status=500).counts_against_endpoint
    assert classify(TimeoutError(), CALL).counts_against_endpoint
    assert not refused("RequestExpired", status=400).counts_against_endpoint
    assert not refused("RequestLimitExceeded", status=503).counts_against_endpoint


@given(st.text(), st.one_of(st.none(), st.integers(100, 599)), st.text())
def test_any_code_has_a_kind(code: str, status: int | None, message: str) -> None:
    """There is no error spotd has no opinion on."""
    assert trouble_of(code, status, message) in Trouble

"""From bytes and query strings to checked values."""

import json
from contextlib import suppress

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from spotd.api.bodies import Connect, ConnectKeys, CreateAccount, InstanceQuery, StreamQuery
from spotd.api.decoding import MAX_DEPTH, body_of, pointer_of, query_of
from spotd.api.problems import Refusal

KEYS = {
    "connection_method": "access_keys",
    "account_id": "123456789012",
    "name": "prod",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}


def refusal_of(raw: bytes, kind: object = CreateAccount) -> Refusal:
    with pytest.raises(Refusal) as caught:
        body_of(raw, kind)
    return caught.value


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a"}, "/account_id"),
        ({"account_id": "123456789012"}, "/name"),
        ({"account_id": "12345678901", "name": "a"}, "/account_id"),
        ({"account_id": "123456789012\n", "name": "a"}, "/account_id"),
        ({"account_id": 123456789012, "name": "a"}, "/account_id"),
        ({"account_id": "123456789012", "name": "a\n"}, "/name"),
        ({"account_id": "123456789012", "name": "a", "regions": ["eu-west-1", "nowhere"]}, "/regions/1"),
        ({"account_id": "123456789012", "name": "a", "colour": "red"}, "/colour"),
        ({"account_id": "123456789012", "name": "a", "a/b~c": 1}, "/a~1b~0c"),
        ([], ""),
    ],
)
def test_bad_field_is_pointed_at(body: object, pointer: str) -> None:
    """A body that does not fit is a 422 whose pointer names the field."""
    refusal = refusal_of(json.dumps(body).encode())

    assert (refusal.status, refusal.errors[0].pointer) == (422, pointer)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'"\\ud800"', b"nope"])
def test_no_json_is_a_bad_request(raw: bytes) -> None:
    """What is no JSON at all is a 400."""
    assert refusal_of(raw).status == 400


@pytest.mark.parametrize("shape", [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_refused(shape: tuple[bytes, bytes]) -> None:
    """A body nested deeper than the limit is refused before it is decoded."""
    opening, closing = shape
    raw = opening * 100_000 + b"1" + closing * 100_000

    assert refusal_of(raw).code == "too_deep"


def test_brackets_in_text_are_no_depth() -> None:
    """Brackets inside strings do not count as nesting."""
    raw = json.dumps({"account_id": "123456789012", "name": '[{"' * (MAX_DEPTH + 1)}).encode()

    assert body_of(raw, CreateAccount).name.startswith("[{")


def test_method_chooses_the_shape() -> None:
    """`connection_method` decides which fields connect understands."""
    assert isinstance(body_of(json.dumps(KEYS).encode(), Connect), ConnectKeys)
    assert refusal_of(json.dumps({**KEYS, "connection_method": "magic"}).encode(), Connect).status == 422


def test_secrets_are_not_printed() -> None:
    """A body with a secret does not show it when printed."""
    body = body_of(json.dumps(KEYS).encode(), Connect)

    assert KEYS["secret_access_key"] not in repr(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(raw: bytes) -> None:
    """Whatever comes, the decoder answers with a value or a refusal."""
    with suppress(Refusal):
        body_of(raw, Connect)


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_json_is_decoded_or_refused(document: object) -> None:
    """Whatever JSON comes, the decoder answers with a value or a refusal."""
    raw = msgspec.json.encode(document)
    with suppress(Refusal):
        body_of(raw, CreateAccount)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=ten", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("colour=red", "/colour"),
        ("state=melted", "/state"),
        ("account_id=abc", "/account_id"),
        ("region=%00", "/region"),
        ("tag=", "/tag/0"),
    ],
)
async def test_bad_parameter_is_pointed_at(query: str, pointer: str) -> None:
    """A query parameter that is unknown, repeated or malformed is a 422 that names it."""
    with pytest.raises(Refusal) as caught:
        query_of(make_mocked_request("GET", f"/?{query}"), InstanceQuery)

    assert (caught.value.status, caught.value.errors[0].pointer) == (422, pointer)


async def test_unknown_parameter_is_told_what_there_is() -> None:
    """Who misspells a parameter reads its right name."""
    with pytest.raises(Refusal, match="there are: limit, cursor"):
        query_of(make_mocked_request("GET", "/?limt=5"), InstanceQuery)


async def test_query_is_typed() -> None:
    """Parameters become the types the route declares; a repeatable one keeps every value."""
    query = query_of(make_mocked_request("GET", "/?limit=7&state=running&tag=a&tag=b%3Dc"), InstanceQuery)

    assert (query.limit, query.state, query.tag) == (7, "running", ("a", "b=c"))


@pytest.mark.parametrize("after", ["12", "Zx-9_:12"])
async def test_stream_position_may_name_its_epoch(after: str) -> None:
    """A stream goes on after a bare sequence or one that names its epoch."""
    assert query_of(make_mocked_request("GET", f"/?after={after}"), StreamQuery).after == after


def test_pointer_follows_rfc_6901() -> None:
    """The decoder's path becomes a JSON pointer."""
    assert pointer_of("$.scopes[2].a") == "/scopes/2/a"
    assert pointer_of("$") == ""

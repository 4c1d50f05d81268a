"""The stream, as WebSocket and as server-sent events."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.api.conftest import ACCOUNT, OTHER, Client, Stage

STREAM = "/api/v1/stream"


@asynccontextmanager
async def followed(client: Client, query: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a WebSocket."""
    headers = {"Authorization": f"Bearer {client.token}"}
    async with client.session.ws_connect(client.url + STREAM + query, headers=headers) as socket:
        yield socket


@asynccontextmanager
async def read_events(
    client: Client, path: str = STREAM, **headers: str
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Open a stream of server-sent events; yields each as its fields, with the data decoded."""
    all_headers = {"Authorization": f"Bearer {client.token}", "Accept": "text/event-stream", **headers}
    async with client.session.get(client.url + path, headers=all_headers) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        yield _parsed(answer)


async def _parsed(answer: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    while block := await answer.content.readuntil(b"\n\n"):
        fields = dict(line.split(": ", 1) for line in block.decode().strip().splitlines())
        yield {**fields, "data": json.loads(fields["data"])}


async def test_hello_then_changes(lite: Stage) -> None:
    """A client hears hello with the epoch, then each change with its sequence."""
    changes = lite.daemon.changes
    async with followed(lite.client) as socket:
        hello = await socket.receive_json()
        changes.publish("account.status", account_id=ACCOUNT, status="active")
        changed = await socket.receive_json()

    assert hello == {"type": "hello", "epoch": changes.epoch, "sequence": 0}
    assert (changed["type"], changed["sequence"], changed["topic"]) == ("changed", 1, "account.status")
    assert changed["facts"] == {"account_id": ACCOUNT, "status": "active"}
    assert changed["at"] == "2026-11-23T21:00:00Z"


@pytest.mark.parametrize("path", [STREAM, f"{STREAM}/sse"])
async def test_server_sent_events_say_the_same(lite: Stage, path: str) -> None:
    """Server-sent events carry the same messages, each with the id to resume after."""
    changes = lite.daemon.changes
    async with read_events(lite.client, path) as stream:
        hello = await anext(stream)
        changes.publish("prices", region="eu-west-1")
        changed = await anext(stream)

    assert (hello["event"], hello["id"]) == ("hello", f"{changes.epoch}:0")
    assert (changed["event"], changed["id"]) == ("changed", f"{changes.epoch}:1")
    assert changed["data"]["topic"] == "prices"


async def test_resuming_misses_nothing(lite: Stage) -> None:
    """Who comes back with the sequence last seen gets everything after it, by either encoding."""
    changes = lite.daemon.changes
    for number in range(3):
        changes.publish("prices", number=number)
    async with followed(lite.client, "?after=1") as socket:
        await socket.receive_json()
        sequences = [(await socket.receive_json())["sequence"] for _ in range(2)]
    async with read_events(lite.client, **{"Last-Event-ID": f"{changes.epoch}:2"}) as stream:
        hello = await anext(stream)
        resumed = await anext(stream)

    assert sequences == [2, 3]
    assert hello["id"] == f"{changes.epoch}:2"
    assert resumed["data"]["sequence"] == 3


@pytest.mark.parametrize("after", ["1", "another-epoch:1", "1000"])
async def test_lost_place_is_a_gap(lite: Stage, after: str) -> None:
    """A place that is no longer kept, of another start or of the future is told as a gap; then it goes on."""
    changes = lite.daemon.changes
    for number in range(200):
        changes.publish("prices", number=number)
    async with followed(lite.client, f"?after={after}") as socket:
        await socket.receive_json()
        gap = await socket.receive_json()
        changes.publish("prices", number=200)
        changed = await socket.receive_json()

    assert (gap["type"], gap["sequence"]) == ("gap", 200)
    assert changed["sequence"] == 201


async def test_limited_token_hears_of_its_account_only(lite: Stage) -> None:
    """What concerns another account is left out, and daemon-wide changes come without their facts."""
    client = await lite.token("read", account_id=ACCOUNT)
    changes = lite.daemon.changes
    async with followed(client) as socket:
        await socket.receive_json()
        changes.publish("account.status", account_id=OTHER, status="active")
        changes.publish("health.transition", component="aws", account="someone's")
        changes.publish("account.status", account_id=ACCOUNT, status="active")
        heard = [await socket.receive_json() for _ in range(2)]

    assert [(each["topic"], each["facts"]) for each in heard] == [
        ("health.transition", {}),
        ("account.status", {"account_id": ACCOUNT, "status": "active"}),
    ]


async def test_malformed_place_is_refused(lite: Stage) -> None:
    """A place of another shape is a 422 before the stream opens."""
    assert (await lite.client.get(f"{STREAM}?after=yesterday")).status == 422


async def test_clients_are_counted_until_they_leave(lite: Stage) -> None:
    """The gauge of clients follows who is connected."""
    async with followed(lite.client) as socket:
        await socket.receive_json()
        assert "spotd_stream_clients 1.0" in (await lite.client.get("/metrics")).body
    for _ in range(100):
        if "spotd_stream_clients 0.0" in (await lite.client.get("/metrics")).body:
            break
    else:
        pytest.fail("the client is still counted")


async def test_client_that_goes_is_no_error(lite: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A client that closes its connection without a word ends its stream quietly."""
    async with read_events(lite.client) as stream:
        await anext(stream)
    for number in range(100):
        lite.daemon.changes.publish("prices", number=number)
        if "spotd_stream_clients 0.0" in (await lite.client.get("/metrics")).body:
            break
    else:
        pytest.fail("the client is still counted")

    assert caplog.records == []


async def test_end_of_the_log_ends_the_stream(lite: Stage) -> None:
    """When the daemon ends its log, clients are told that it goes away."""
    async with followed(lite.client) as socket:
        await socket.receive_json()
        lite.daemon.changes.close()
        message = await socket.receive()

    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.GOING_AWAY)


async def test_foreign_page_cannot_open_a_socket(lite: Stage) -> None:
    """A WebSocket from a page of another origin is refused."""
    headers = {"Authorization": f"Bearer {lite.client.token}", "Origin": "https://evil.example"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with lite.client.session.ws_connect(lite.client.url + STREAM, headers=headers):
            pass

    assert caught.value.status == 403

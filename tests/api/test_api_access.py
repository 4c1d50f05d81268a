"""Who may do what: tokens, scopes, the local socket, hosts and origins."""

import asyncio
import io
import os
import stat
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from spotd.api.access import Principal, Scope
from spotd.api.limits import Limits, Rate
from spotd.api.problems import Refusal
from spotd.api.routing import Call, NoQuery, Route, RouteWithoutScope, checked
from spotd.api.server import ApiServer, Listen, create_app
from spotd.api.signature import sign
from spotd.api.tokens import ensure_admin_token
from spotd.errors import InvalidInput
from tests.api.conftest import ACCOUNT, NOW, OTHER, SECRET, Client, Stage, accepting_keys, staged

SCOPES = ["read", "events", "approve", "execute", "accounts", "admin"]
METHODS = {"get", "put", "post", "delete"}


async def operations(stage: Stage) -> list[tuple[str, str, list[str]]]:
    """Return every operation of the published document: method, path with ids filled in, scopes."""
    document = (await stage.client.get("/api/v1/openapi.json")).body
    return [
        (method.upper(), path.replace("{account}", "1").replace("{id}", "1"), _scopes(operation))
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def _scopes(operation: dict[str, list[dict[str, list[str]]]]) -> list[str]:
    return [scope for way in operation["security"] for scope in way.get("bearer", [])]


async def test_every_route_but_the_probes_needs_a_token(lite: Stage) -> None:
    """Without a token, and with an unknown one, every operation but the two probes is a 401."""
    for client in (lite.client.using(None), lite.client.using("spotd_unknown")):
        refused = {path for method, path, _ in await operations(lite) if (await client(method, path)).status != 401}
        assert refused == {"/livez", "/readyz"}


async def test_a_wrong_token_is_told_from_none(lite: Stage) -> None:
    """Who sent a token that is not known here is not asked for one."""
    missing = await lite.client.using(None).get("/api/v1/health")
    wrong = await lite.client.using("spotd_unknown").get("/api/v1/health")

    assert missing.body["detail"] == "a token is needed"
    assert wrong.body["detail"] == "this token is unknown, expired or revoked"


async def test_every_route_needs_its_scope(lite: Stage) -> None:
    """A token without the scope an operation publishes is a 403, whatever else it holds."""
    clients = {scope: await lite.token(*(each for each in SCOPES if each not in (scope, "admin"))) for scope in SCOPES}
    for method, path, scopes in await operations(lite):
        for scope in scopes:
            reply = await clients[scope](method, path)
            assert (reply.status, reply.body["code"]) == (403, "forbidden"), (method, path)


async def test_public_is_only_on_the_probes(lite: Stage) -> None:
    """No other operation than the two probes is published without a scope."""
    assert {path for _, path, scopes in await operations(lite) if not scopes} == {"/livez", "/readyz"}


async def test_admin_includes_all() -> None:
    """`admin` holds every scope."""
    assert all(Principal("a", frozenset({Scope.ADMIN})).may(scope) for scope in Scope)
    assert not Principal("a", frozenset({Scope.READ})).may(Scope.EVENTS)


async def test_route_without_scope_fails_start_up() -> None:
    """A route on which nobody decided is not served: start-up fails."""

    async def handler(_: Call[NoQuery, None]) -> None:
        """Do nothing."""

    with pytest.raises(RouteWithoutScope, match="GET /x"):
        checked([Route(method="GET", path="/x", handler=handler)])


async def test_refusals_are_problems(lite: Stage) -> None:
    """A refusal is RFC 9457 with a code and whether to retry, and challenges as RFC 6750 asks."""
    reply = await lite.client.using(None).get("/api/v1/accounts")

    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer")
    assert {"type", "title", "status", "detail", "code", "retryable", "errors"} == set(reply.body)
    assert (reply.body["code"], reply.body["retryable"]) == ("unauthorized", False)


async def test_token_lives_and_ends(stage: Stage) -> None:
    """A token works until it expires; its secret is shown once and stored as a hash only."""
    until = (NOW + timedelta(hours=1)).isoformat()
    made = await stage.client.post("/api/v1/tokens", {"name": "ci", "scopes": ["read"], "expires_at": until})
    client = stage.client.using(made.body["token"])
    listed = await stage.client.get("/api/v1/tokens")
    stored = [row["digest"] for row in await stage.db.fetch("SELECT digest FROM tokens")]

    assert (await client.get("/api/v1/accounts")).status == 200
    assert made.body["token"] not in str(stored) + str(listed.body)
    assert [item["name"] for item in listed.body["items"]][-1] == "ci"
    stage.clock.forward(hours=1)
    assert (await client.get("/api/v1/accounts")).status == 401


async def test_revoked_token_ends_at_once(stage: Stage) -> None:
    """A revoked token is unknown from the next request on."""
    made = (await stage.client.post("/api/v1/tokens", {"name": "ci", "scopes": ["read"]})).body
    client = stage.client.using(made["token"])
    assert (await client.get("/api/v1/accounts")).status == 200

    assert (await stage.client("DELETE", f"/api/v1/tokens/{made['id']}")).status == 204
    assert (await client.get("/api/v1/accounts")).status == 401
    assert (await stage.client("DELETE", f"/api/v1/tokens/{made['id']}")).status == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "a", "scopes": []}, "/scopes"),
        ({"name": "a", "scopes": ["public"]}, "/scopes/0"),
        ({"name": "a", "scopes": ["admin"], "account_id": ACCOUNT}, "/account_id"),
        ({"name": "a", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "a", "scopes": ["read"], "expires_at": "2027-01-01T00:00:00"}, "/expires_at"),
    ],
)
async def test_senseless_token_is_refused(lite: Stage, body: dict[str, object], pointer: str) -> None:
    """A token that could do nothing, or more than it says, is a 422 that names the field."""
    reply = await lite.client.post("/api/v1/tokens", body)

    assert (reply.status, reply.body["errors"][0]["pointer"]) == (422, pointer)


async def test_token_limited_to_an_account(stage: Stage) -> None:
    """A limited token sees and changes its own account only, and nothing that concerns every account."""
    accepting_keys(stage.fake)
    for account_id in (ACCOUNT, OTHER):
        await stage.client.post("/api/v1/accounts", {"account_id": account_id, "name": "a"})
    client = await stage.token("read", "accounts", account_id=ACCOUNT)
    listed = await client.get("/api/v1/accounts")

    assert [item["account_id"] for item in listed.body["items"]] == [ACCOUNT]
    assert (await client.get(f"/api/v1/accounts/{OTHER}")).status == 404
    assert (await client("DELETE", f"/api/v1/accounts/{OTHER}")).status == 404
    assert (await client.post("/api/v1/accounts", {"account_id": "3" * 12, "name": "a"})).status == 403
    assert (await client.get("/api/v1/health")).status == 403
    assert (await client.get(f"/api/v1/instances?account_id={OTHER}")).body["items"] == []
    assert (await client.get("/api/v1/overview")).body["counts"]["accounts"] == 1


async def test_admin_token_file(stage: Stage) -> None:
    """The first start writes a token that only the daemon's user can read; the next keeps it."""
    path = stage.state_dir / "admin.token"
    before = path.read_text()
    await ensure_admin_token(stage.db, stage.state_dir, stage.clock)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == before
    assert (await stage.client.get("/api/v1/tokens")).status == 200


async def test_admin_token_that_the_store_forgot_is_repaired(stage: Stage) -> None:
    """A token file that does not match the store, after a restore say, works again; another name is left alone."""
    await stage.db.execute("DELETE FROM tokens")
    await ensure_admin_token(stage.db, stage.state_dir, stage.clock)
    assert (await stage.client.get("/api/v1/tokens")).status == 200

    (stage.state_dir / "admin.token").unlink()
    await ensure_admin_token(stage.db, stage.state_dir, stage.clock)
    renewed = stage.client.using((stage.state_dir / "admin.token").read_text().strip())
    assert len((await renewed.get("/api/v1/tokens")).body["items"]) == 1


async def test_known_token_works_while_the_store_does_not(lite: Stage) -> None:
    """`/health` answers who was seen before while the database is gone; who was not gets a 503 to retry."""
    client = await lite.token("read")
    assert (await client.get("/api/v1/health")).status == 200
    await lite.db.close()
    unseen = await lite.client.using("spotd_unseen").get("/api/v1/health")

    assert (await client.get("/api/v1/health")).status == 200
    assert (unseen.status, unseen.body["retryable"]) == (503, True)
    assert (await client.get("/api/v1/accounts")).body["code"] == "store_unavailable"


async def test_same_user_needs_no_token_on_the_socket(lite: Stage) -> None:
    """The local socket admits the daemon's own user as admin, and nobody else can open it."""
    path = lite.state_dir / "spotd.sock"
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession(connector=connector) as session:
        local = Client(session, "http://spotd")
        assert (await local.get("/api/v1/tokens")).status == 200
        assert (await local.using("spotd_unknown").get("/api/v1/tokens")).status == 401

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_socket_path_may_be_long(lite: Stage, tmp_path: Path) -> None:
    """A state directory deeper than a socket address may be long works all the same."""
    path = tmp_path / ("d" * 80) / ("e" * 80) / "spotd.sock"
    server = ApiServer(create_app(lite.services), Listen(port=0, socket=path))
    await server.start()
    directory = os.open(path.parent, os.O_PATH)
    try:
        connector = aiohttp.UnixConnector(f"/proc/self/fd/{directory}/spotd.sock")
        async with aiohttp.ClientSession(connector=connector) as session:
            assert (await Client(session, "http://spotd").get("/api/v1/tokens")).status == 200
    finally:
        os.close(directory)
        await server.stop()
    assert not path.exists()


async def test_socket_left_behind_is_replaced(lite: Stage, tmp_path: Path) -> None:
    """A socket file that a killed daemon left does not keep the next one from starting."""
    path = tmp_path / "left.sock"
    for _ in range(2):
        server = ApiServer(create_app(lite.services), Listen(port=0, socket=path))
        await server.start()
        kept = path.stat().st_ino
        await server.stop()
        path.touch()
    assert kept


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.org"])
async def test_listening_to_other_machines_needs_a_word(lite: Stage, host: str) -> None:
    """A host that is not loopback is refused unless the configuration allows it."""
    with pytest.raises(InvalidInput, match=r"api\.allow_remote"):
        ApiServer(create_app(lite.services), Listen(host=host, port=0))
    ApiServer(create_app(lite.services), Listen(host=host, port=0, allow_remote=True))


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:1", 200), ("localhost", 200), ("[::1]:80", 200), ("evil.example", 421), ("", 421), ("[", 421)],
)
async def test_foreign_host_is_refused(lite: Stage, host: str, status: int) -> None:
    """A Host that is not ours is a 421: another site's name must not lead to the daemon."""
    reply = await lite.client.get("/api/v1/accounts", headers={"Host": host})

    assert reply.status == status


async def test_foreign_origin_is_refused(lite: Stage) -> None:
    """A page of another origin may not use the API, even with a ticket; our own may."""
    foreign = await lite.client.get("/api/v1/accounts", headers={"Origin": "http://127.0.0.1:1"})
    own = await lite.client.get("/api/v1/accounts", headers={"Origin": lite.server.url})

    assert (foreign.status, foreign.body["code"]) == (403, "foreign_origin")
    assert own.status == 200


async def test_guessing_is_slowed_down(sqlite_url: str, tmp_path: Path) -> None:
    """After too many unknown tokens a peer gets 429 with when to come back; a known token still works."""
    limits = Limits(failures=Rate(burst=3, per_second=0.001))
    async with staged(sqlite_url, tmp_path, limits=limits) as stage:
        guesser = stage.client.using("spotd_guess")
        statuses = [(await guesser.get("/api/v1/accounts")).status for _ in range(4)]
        reply = await guesser.get("/api/v1/accounts")

        assert statuses == [401, 401, 401, 429]
        assert (reply.body["retryable"], int(reply.headers["Retry-After"]) > 0) == (True, True)
        assert (await stage.client.get("/api/v1/accounts")).status == 200


async def test_one_token_leaves_others_room(sqlite_url: str, tmp_path: Path) -> None:
    """A token that floods gets 429; another does not notice."""
    limits = Limits(requests=Rate(burst=3, per_second=0.001))
    async with staged(sqlite_url, tmp_path, limits=limits) as stage:
        other = await stage.token("read")
        statuses = [(await stage.client.get("/api/v1/accounts")).status for _ in range(3)]

        assert statuses == [200, 200, 429]
        assert (await other.get("/api/v1/accounts")).status == 200


async def test_signed_events_need_no_token(lite: Stage) -> None:
    """A body signed with the shared secret is taken in; a wrong signature, or one elsewhere, is not."""
    body, anonymous = b"[]", lite.client.using(None)
    header = {"X-Spotd-Signature": sign(SECRET, body, NOW)}

    assert (await anonymous("POST", "/events", data=body, headers=header)).status == 202
    assert (await anonymous("POST", "/events", data=b"[1]", headers=header)).status == 401
    assert (await anonymous.get("/api/v1/accounts", headers=header)).status == 401


async def test_ticket_admits_one_stream(lite: Stage) -> None:
    """A ticket opens one stream and no other route."""
    ticket = (await lite.client.post("/api/v1/stream/ticket")).body["ticket"]
    anonymous = lite.client.using(None)
    assert (await anonymous.get(f"/api/v1/accounts?ticket={ticket}")).status == 401

    url = f"{lite.server.url}/api/v1/stream?ticket={ticket}"
    async with anonymous.session.ws_connect(url) as socket:
        assert (await socket.receive_json())["type"] == "hello"
    assert (await anonymous.get(f"/api/v1/stream?ticket={ticket}")).status == 401


async def test_big_body_is_refused(lite: Stage) -> None:
    """A body over one MiB is a 413."""
    reply = await lite.client("POST", "/events", data=io.BytesIO(b" " * (1024 * 1024 + 1)))

    assert (reply.status, reply.body["code"]) == (413, "request_entity_too_large")


async def test_unknown_path_and_method(lite: Stage) -> None:
    """An unknown path is a 404 and a wrong method a 405 that names the right ones, both as problems."""
    missing = await lite.client.get("/api/v1/nothing")
    wrong = await lite.client("DELETE", "/api/v1/accounts")

    assert (missing.status, missing.body["code"]) == (404, "not_found")
    assert (wrong.status, wrong.body["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "GET,POST"


def test_refusal_says_what_it_says() -> None:
    """A refusal keeps its status, code and text."""
    refusal = Refusal(403, "forbidden", "no")

    assert (refusal.status, refusal.code, str(refusal)) == (403, "forbidden", "no")


async def test_stop_ends_quickly(lite: Stage) -> None:
    """Stopping does not wait for streams that nobody ends."""
    url = f"{lite.server.url}/api/v1/stream"
    headers = {"Authorization": f"Bearer {lite.client.token}"}
    async with lite.client.session.ws_connect(url, headers=headers) as socket:
        await socket.receive_json()
        async with asyncio.timeout(3):
            await lite.server.stop()
        assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}

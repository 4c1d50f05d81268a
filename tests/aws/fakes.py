"""A fake AWS at its edge: an HTTP server that records every signed request and answers as a test says."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from aiohttp import web

SIGNATURE = re.compile(r"Credential=(?P<key>[^/]+)/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
XML = "text/xml"


@dataclass(frozen=True)
class Seen:
    """One request as it came over the wire."""

    service: str
    region: str
    operation: str
    access_key: str
    session_token: str | None
    params: Mapping[str, Any]


Answer = web.StreamResponse
Responder = Callable[[Seen], Answer | Awaitable[Answer]]


@dataclass
class FakeAws:
    """Answers by operation; an operation without a responder is a 404 that no code understands."""

    endpoint: str = ""
    seen: list[Seen] = field(default_factory=list)
    responders: dict[str, Responder] = field(default_factory=dict)

    def on(self, operation: str, responder: Responder | Answer) -> Self:
        """Answer an operation with a function of its request, or always alike."""
        self.responders[operation] = responder if callable(responder) else lambda _seen: copy(responder)
        return self

    def sequence(self, operation: str, *answers: Answer) -> Self:
        """Answer an operation with one answer after the other, and then with the last again."""
        left = list(answers)
        return self.on(operation, lambda _seen: copy(left.pop(0) if len(left) > 1 else left[0]))

    def calls(self, operation: str) -> list[Seen]:
        """The requests for one operation."""
        return [each for each in self.seen if each.operation == operation]

    async def handle(self, request: web.Request) -> Answer:
        """Record one request and answer it."""
        seen = understood(request.headers, await request.text())
        self.seen.append(seen)
        responder = self.responders.get(seen.operation)
        if responder is None:
            return web.Response(status=404, text=f"<html>no responder for {seen.operation}</html>", content_type=XML)
        answer = responder(seen)
        return answer if isinstance(answer, web.StreamResponse) else await answer


@asynccontextmanager
async def fake_aws() -> AsyncIterator[FakeAws]:
    """Run a fake AWS on a free port of 127.0.0.1."""
    fake = FakeAws()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fake.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield fake
    finally:
        await runner.cleanup()


def understood(headers: Mapping[str, str], body: str) -> Seen:
    """Read what the signature and the body say; an unsigned request has empty names."""
    signed = SIGNATURE.search(headers.get("Authorization", ""))
    key, region, service = (signed["key"], signed["region"], signed["service"]) if signed else ("", "", "")
    token = headers.get("X-Amz-Security-Token")
    if target := headers.get("X-Amz-Target"):
        return Seen(service, region, target.rpartition(".")[2], key, token, json.loads(body))
    params = dict(parse_qsl(body, keep_blank_values=True))
    return Seen(service, region, params.get("Action", ""), key, token, params)


def copy(answer: Answer) -> Answer:
    """A prepared answer can be sent once only."""
    assert isinstance(answer, web.Response)
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def xml(operation: str, inner: str = "", *, wrapped: bool = False) -> Answer:
    """Return an EC2 answer, or (`wrapped`) one of the query services."""
    body = f"<{operation}Result>{inner}</{operation}Result>" if wrapped else inner
    return web.Response(text=f"<{operation}Response>{body}</{operation}Response>", content_type=XML)


def refusal(code: str, message: str = "no", *, status: int = 400) -> Answer:
    """Return EC2's form of an error."""
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return web.Response(status=status, text=f"<Response><Errors>{error}</Errors></Response>", content_type=XML)


def query_refusal(code: str, message: str = "no", *, status: int = 400) -> Answer:
    """Return the query services' form of an error (STS, CloudWatch, load balancers)."""
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return web.Response(status=status, text=f"<ErrorResponse>{error}</ErrorResponse>", content_type=XML)


def js(document: Any, *, status: int = 200) -> Answer:
    """Return a JSON service's answer (SQS, Pricing)."""
    return web.Response(status=status, text=json.dumps(document), content_type="application/x-amz-json-1.1")


def page(*instances: str, owner: str = "111111111111", token: str | None = None) -> Answer:
    """Return a page of DescribeInstances with one reservation for all."""
    items = f"<item><ownerId>{owner}</ownerId><instancesSet>{''.join(instances)}</instancesSet></item>"
    more = f"<nextToken>{token}</nextToken>" if token else ""
    return xml("DescribeInstances", f"<reservationSet>{items if instances else ''}</reservationSet>{more}")


def instance(instance_id: str, *, state: str = "running", tags: Mapping[str, str] | None = None, more: str = "") -> str:
    """Return one instance of DescribeInstances; `more` is further XML."""
    pairs = "".join(
        f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in (tags or {}).items()
    )
    return (
        f"<item><instanceId>{instance_id}</instanceId><instanceType>m5.large</instanceType>"
        f"<instanceState><code>16</code><name>{state}</name></instanceState><tagSet>{pairs}</tagSet>{more}</item>"
    )


def identity(account_id: str, arn: str | None = None) -> Answer:
    """Return an answer of GetCallerIdentity."""
    told = arn or f"arn:aws:iam::{account_id}:user/spotd"
    return xml("GetCallerIdentity", f"<Account>{account_id}</Account><Arn>{told}</Arn><UserId>u</UserId>", wrapped=True)


def role_session(key: str, token: str, expiration: str) -> Answer:
    """Return an answer of AssumeRole; `expiration` is ISO 8601."""
    given = (
        f"<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>secret-of-{key}</SecretAccessKey>"
        f"<SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration>"
    )
    return xml("AssumeRole", f"<Credentials>{given}</Credentials>", wrapped=True)


def regions(*enabled: str, closed: tuple[str, ...] = ()) -> Answer:
    """Return an answer of DescribeRegions."""
    rows = [(name, "opt-in-not-required") for name in enabled] + [(name, "not-opted-in") for name in closed]
    items = "".join(
        f"<item><regionName>{name}</regionName><optInStatus>{status}</optInStatus></item>" for name, status in rows
    )
    return xml("DescribeRegions", f"<regionInfo>{items}</regionInfo>")

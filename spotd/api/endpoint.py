"""One route made a handler: admit, validate, call, encode. Nothing else stands between a request and its handler."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, get_args

import msgspec
from aiohttp import web

from spotd.api.access import Principal
from spotd.api.decoding import body_of, path_values, query_of
from spotd.api.gate import Gate
from spotd.api.routing import Answer, Call, Route
from spotd.api.services import Services
from spotd.api.tabular import csv_of
from spotd.api.wire import Listing

JSON = "application/json"
CSV = "text/csv"


class Endpoint:
    """Serves one route."""

    def __init__(self, route: Route, services: Services, gate: Gate) -> None:
        self.route = route
        self._services = services
        self._gate = gate

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; raises Refusal and SpotdError, which the middleware turns into problems."""
        principal = await self._gate.admit(request, self.route)
        value = await self.route.handler(await self._call(request, principal))
        if isinstance(value, web.StreamResponse):
            return value
        return _encoded(self.route, request, value if isinstance(value, Answer) else Answer(value=value))

    async def _call(self, request: web.Request, principal: Principal) -> Call[Any, Any]:
        route = self.route
        query = query_of(request, route.query)
        body = None if route.body is None or route.raw else body_of(await request.read(), route.body)
        return Call(
            services=self._services,
            principal=principal,
            path=path_values(request),
            query=query,
            body=body,
            request=request,
        )


def _encoded(route: Route, request: web.Request, answer: Answer) -> web.Response:
    status, headers = answer.status or route.status, dict(answer.headers)
    if answer.value is None:
        return web.Response(status=status, headers=headers)
    if CSV in route.media and isinstance(answer.value, Listing) and _prefers_csv(request):
        return _csv(route, answer.value, headers)
    body = msgspec.json.encode(answer.value)
    if route.method == "GET":
        return _tagged(request, body, status, headers)
    return web.Response(status=status, body=body, content_type=JSON, headers=headers)


def _tagged(request: web.Request, body: bytes, status: int, headers: Mapping[str, str]) -> web.Response:
    """Give the body an entity tag, and answer 304 to a client that has it already."""
    tag = f'"{blake2b(body, digest_size=12).hexdigest()}"'
    with_tag = {**headers, "ETag": tag, "Cache-Control": "private, no-cache"}
    if request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers=with_tag)
    return web.Response(status=status, body=body, content_type=JSON, headers=with_tag)


def _csv(route: Route, listing: Listing[Any], headers: dict[str, str]) -> web.Response:
    if listing.next_cursor is not None:
        headers["X-Next-Cursor"] = listing.next_cursor
    (kind,) = get_args(route.response)
    return web.Response(text=csv_of(kind, listing.items), content_type=CSV, charset="utf-8", headers=headers)


def _prefers_csv(request: web.Request) -> bool:
    accept = request.headers.get("Accept", "")
    return CSV in accept and JSON not in accept

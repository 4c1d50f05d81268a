"""Authentication and authorization: who sent this request, and may they use this route."""

import asyncio
import secrets

import structlog
from aiohttp import web

from spotd.api import peers, signature
from spotd.api.access import GRANTABLE, NOBODY, Principal, Scope
from spotd.api.limits import Buckets, Limits
from spotd.api.problems import Refusal
from spotd.api.routing import Route
from spotd.api.services import Services
from spotd.api.tokens import TokenBook

log = structlog.get_logger(__name__)

TICKET_SECONDS = 30
SIGNED = Principal("signature", frozenset({Scope.EVENTS}))
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="spotd"'}


class Tickets:
    """One-use stand-ins for a token, for the WebSocket of a browser, which cannot send a header."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[Principal, float]] = {}

    def issue(self, principal: Principal) -> str:
        """Return a ticket that admits this principal once, for half a minute."""
        now = asyncio.get_running_loop().time()
        self._issued = {ticket: entry for ticket, entry in self._issued.items() if entry[1] > now}
        ticket = secrets.token_urlsafe(32)
        self._issued[ticket] = (principal, now + TICKET_SECONDS)
        return ticket

    def redeem(self, ticket: str) -> Principal | None:
        """Return whom the ticket was issued to, once, unless it is too old."""
        principal, until = self._issued.pop(ticket, (None, 0.0))
        return principal if until > asyncio.get_running_loop().time() else None


class Gate:
    """Admits requests to routes."""

    def __init__(self, services: Services, book: TokenBook, tickets: Tickets, limits: Limits) -> None:
        time = asyncio.get_running_loop().time
        self._services = services
        self._book = book
        self._tickets = tickets
        self._failures = Buckets(limits.failures, time)
        self._requests = Buckets(limits.requests, time)

    async def admit(self, request: web.Request, route: Route) -> Principal:
        """Return who asks; raises Refusal 401 for nobody known, 403 for a missing scope, 429 for too much."""
        if route.scope is Scope.PUBLIC or route.scope is None:
            return NOBODY
        principal = await self._principal(request, route)
        if principal is None:
            given = "Authorization" in request.headers
            if given:
                self._failures.spend(peers.address(request))
            told = "this token is unknown, expired or revoked" if given else "a token is needed"
            raise Refusal(401, "unauthorized", told, headers=CHALLENGE)
        _authorize(principal, route)
        return principal

    async def _principal(self, request: web.Request, route: Route) -> Principal | None:
        header = request.headers.get("Authorization")
        if header is not None:
            return await self._bearer(header)
        if route.signed and signature.HEADER in request.headers:
            return await self._signed(request)
        if route.ticketed and "ticket" in request.query:
            return self._tickets.redeem(request.query["ticket"])
        if peers.same_user(request):
            return Principal("local", GRANTABLE)
        return None

    async def _bearer(self, header: str) -> Principal | None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "bearer":
            return None
        principal = await self._book.principal(token.strip())
        if principal is not None:
            self._requests.spend(principal.name)
        return principal

    async def _signed(self, request: web.Request) -> Principal | None:
        secret = self._services.signing_secret
        if secret is None:
            return None
        body, header = await request.read(), request.headers[signature.HEADER]
        good = signature.holds(secret, header, body, self._services.clock.now())
        return SIGNED if good else None


def _authorize(principal: Principal, route: Route) -> None:
    assert route.scope is not None
    if not principal.may(route.scope):
        raise Refusal(403, "forbidden", f"this needs the scope `{route.scope}`")
    if route.wide and principal.account is not None:
        raise Refusal(403, "forbidden", f"this concerns every account; the token is limited to {principal.account}")

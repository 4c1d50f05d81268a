"""The stream: one log of what changed, as WebSocket or server-sent events."""

from aiohttp import web

from spotd.api.access import Scope
from spotd.api.bodies import StreamQuery
from spotd.api.gate import TICKET_SECONDS, Tickets
from spotd.api.routing import BASE, Call, NoQuery, Route
from spotd.api.stream import Streams
from spotd.api.wire import Ticket


class StreamRoutes:
    """The stream's handlers."""

    def __init__(self, streams: Streams, tickets: Tickets) -> None:
        self._streams = streams
        self._tickets = tickets

    async def stream(self, call: Call[StreamQuery, None]) -> web.StreamResponse:
        """Follow what changes, over a WebSocket where the client asks for one, else as server-sent events."""
        if call.request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._streams.websocket(call.request, call.principal, call.query.after)
        return await self._streams.events(call.request, call.principal, call.query.after)

    async def stream_events(self, call: Call[StreamQuery, None]) -> web.StreamResponse:
        """Follow what changes as server-sent events."""
        return await self._streams.events(call.request, call.principal, call.query.after)

    async def create_ticket(self, call: Call[NoQuery, None]) -> Ticket:
        """Issue a ticket for one stream, for browsers, whose WebSocket cannot carry a token."""
        return Ticket(ticket=self._tickets.issue(call.principal), expires_in_seconds=TICKET_SECONDS)


def routes(streams: Streams, tickets: Tickets) -> tuple[Route, ...]:
    """Return the stream's routes."""
    handlers = StreamRoutes(streams, tickets)
    return (
        Route(
            method="GET",
            path=f"{BASE}/stream",
            handler=handlers.stream,
            scope=Scope.READ,
            query=StreamQuery,
            media=("text/event-stream",),
            ticketed=True,
        ),
        Route(
            method="GET",
            path=f"{BASE}/stream/sse",
            handler=handlers.stream_events,
            scope=Scope.READ,
            query=StreamQuery,
            media=("text/event-stream",),
            ticketed=True,
        ),
        Route(
            method="POST",
            path=f"{BASE}/stream/ticket",
            handler=handlers.create_ticket,
            scope=Scope.READ,
            response=Ticket,
            status=201,
        ),
    )

"""Every route, in one table."""

from dataclasses import dataclass

from spotd.api.gate import Tickets
from spotd.api.metrics import HttpMetrics
from spotd.api.routes import accounts, events, fleet, market, operate, probes, streaming, tokens
from spotd.api.routing import Route
from spotd.api.services import Services
from spotd.api.stream import Streams
from spotd.api.tokens import TokenBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What some routes need beside the services: the API's own parts."""

    services: Services
    book: TokenBook
    tickets: Tickets
    metrics: HttpMetrics
    streams: Streams


def table(parts: Parts) -> tuple[Route, ...]:
    """Return every route; OpenAPI describes them all, itself included."""
    described = (
        *accounts.ROUTES,
        *fleet.ROUTES,
        *market.ROUTES,
        *events.ROUTES,
        *operate.ROUTES,
        *tokens.routes(parts.book),
        *streaming.routes(parts.streams, parts.tickets),
        *probes.routes(parts.metrics),
    )
    return (*described, *probes.openapi_routes(described))

"""What other programs poll: liveness, readiness, the full health document, metrics, OpenAPI."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aiohttp import web

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.metrics import MEDIA_TYPE, Facts, HttpMetrics, render
from spotd.api.openapi import document
from spotd.api.routing import BASE, Answer, Call, NoQuery, Route
from spotd.api.services import Pulse, Services
from spotd.api.wire import HealthzView, Probe
from spotd.errors import StoreUnavailable
from spotd.model.health import ComponentHealth, ComponentState
from spotd.store import overview

TICKS_MISSED = 3
"""The health loop may miss this many intervals before the daemon counts as stuck."""

START_GRACE = 60.0
"""Seconds after the start in which the health loop may still be waiting for its first tick."""

STORE_PATIENCE = 2.0
"""Seconds a scrape waits for the store; what Prometheus gets then lacks the fleet's figures only."""


async def get_healthz(call: Call[NoQuery, None]) -> HealthzView:
    """Show the full health document: components, loops, open breakers."""
    services = call.services
    now = asyncio.get_running_loop().time()
    return views.healthz(
        services.health(), services.pulses(), tuple(services.breakers()), now=now, version=services.version
    )


async def get_readyz(call: Call[NoQuery, None]) -> Answer:
    """Tell whether the daemon should get work."""
    services = call.services
    return _probe((*services.unready(), *_without_store(services.health())))


def _without_store(components: Mapping[str, ComponentHealth]) -> Iterator[str]:
    """Tell when the last health check got no answer from the database; a slow answer is no reason to take work away."""
    database = components.get("database")
    if database is not None and database.status is ComponentState.CRITICAL and "error" in database.details:
        yield f"the database did not answer: {database.details['error']}"


class Liveness:
    """`/livez`: the loop answers, and the health loop ticked lately. Never asks a database or AWS."""

    def __init__(self) -> None:
        self._born = asyncio.get_running_loop().time()

    async def get_livez(self, call: Call[NoQuery, None]) -> Answer:
        """Tell whether the daemon lives; a supervisor restarts one that does not."""
        now = asyncio.get_running_loop().time()
        return _probe(self._stuck(call.services.pulses().get("health"), call.services.health_interval, now))

    def _stuck(self, pulse: Pulse | None, interval: float, now: float) -> tuple[str, ...]:
        started = pulse.started if pulse else None
        if started is None:
            return ("the health loop has not started",) if now - self._born > START_GRACE + interval else ()
        age = now - started
        return (f"the health loop ticked {age:.0f} s ago",) if age > TICKS_MISSED * interval + START_GRACE else ()


def _probe(reasons: Iterable[str]) -> Answer:
    said = tuple(reasons)
    return Answer(value=Probe(status="unavailable" if said else "ok", reasons=said), status=503 if said else 200)


class Exposition:
    """`/metrics`."""

    def __init__(self, http: HttpMetrics) -> None:
        self._http = http

    async def get_metrics(self, call: Call[NoQuery, None]) -> web.Response:
        """Show the daemon's figures for Prometheus."""
        facts = await _facts(call.services)
        body = await asyncio.to_thread(render, self._http, facts)
        return web.Response(body=body, headers={"Content-Type": MEDIA_TYPE})


async def _facts(services: Services) -> Facts:
    now = asyncio.get_running_loop().time()
    pulses = services.pulses()
    return Facts(
        version=services.version,
        components=services.health(),
        loop_ages={name: now - pulse.last_ok for name, pulse in pulses.items() if pulse.last_ok is not None},
        loop_failures={name: pulse.failures for name, pulse in pulses.items()},
        figures=services.metrics(),
        **await _stored(services),
    )


async def _stored(services: Services) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(STORE_PATIENCE):
            counts = await overview.counts(services.db)
            cost = await overview.cost(services.db)
    except (StoreUnavailable, TimeoutError):
        return {"store_answered": False}
    return {
        "accounts": counts.accounts,
        "instances": counts.by_state,
        "lifecycles": counts.by_lifecycle,
        "cost_micros_per_hour": cost.micros_per_hour,
    }


def routes(http: HttpMetrics) -> tuple[Route, ...]:
    """Return the routes at the root."""
    return (
        Route(
            method="GET",
            path="/livez",
            handler=Liveness().get_livez,
            scope=Scope.PUBLIC,
            response=Probe,
            also=(503,),
        ),
        Route(method="GET", path="/readyz", handler=get_readyz, scope=Scope.PUBLIC, response=Probe, also=(503,)),
        Route(method="GET", path="/healthz", handler=get_healthz, scope=Scope.READ, response=HealthzView, wide=True),
        Route(
            method="GET",
            path="/metrics",
            handler=Exposition(http).get_metrics,
            scope=Scope.READ,
            media=("text/plain",),
            wide=True,
        ),
    )


class OpenApi:
    """`/api/v1/openapi.json`."""

    def __init__(self, described: tuple[Route, ...]) -> None:
        self._described = described
        self._document: dict[str, Any] | None = None

    async def get_openapi(self, call: Call[NoQuery, None]) -> Mapping[str, Any]:
        """Show this API's OpenAPI 3.1 document."""
        if self._document is None:
            self._document = document((*self._described, self.route), version=call.services.version)
        return self._document

    @property
    def route(self) -> Route:
        """The document's own route."""
        return Route(
            method="GET",
            path=f"{BASE}/openapi.json",
            handler=self.get_openapi,
            scope=Scope.READ,
            response=Mapping[str, Any],
        )


def openapi_routes(described: tuple[Route, ...]) -> tuple[Route, ...]:
    """Return the route of the document that describes all others and itself."""
    return (OpenApi(described).route,)

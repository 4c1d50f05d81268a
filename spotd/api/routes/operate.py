"""Health, and one tick on demand of a loop."""

from collections.abc import Mapping
from typing import Any

import msgspec

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.bodies import HistoryQuery
from spotd.api.routing import BASE, LISTED, Call, NoQuery, Route
from spotd.api.wire import HealthView, Listing, TransitionView
from spotd.store import health

TickDocument = Mapping[str, Any]
"""A tick's result as its loop tells it."""


async def get_health(call: Call[NoQuery, None]) -> HealthView:
    """Show every component's health; the status is the worst of what is enabled."""
    return views.health(call.services.health())


async def check_health(call: Call[NoQuery, None]) -> HealthView:
    """Run all health checks now and show what they found."""
    await call.services.tick_now("health")
    return views.health(call.services.health())


async def list_health_history(call: Call[HistoryQuery, None]) -> Listing[TransitionView]:
    """List changes of health, newest first."""
    query = call.query
    page = await health.history_page(
        call.services.db, component=query.component, limit=query.limit, cursor=query.cursor
    )
    return Listing(items=tuple(map(views.transition, page.items)), next_cursor=page.next_cursor)


async def run_optimizer(call: Call[NoQuery, None]) -> TickDocument:
    """Run the optimizer now; answers with its result."""
    return _document(await call.services.tick_now("optimizer"))


async def reload_configuration(call: Call[NoQuery, None]) -> TickDocument:
    """Read the configuration anew; a bad one is refused and the old kept."""
    return _document(await call.services.reload())


def _document(result: object) -> TickDocument:
    """Return a struct's or dataclass's fields; a loop without a result answers an empty document."""
    built = msgspec.to_builtins(result)
    return built if isinstance(built, dict) else {} if built is None else {"result": built}


ROUTES = (
    Route(method="GET", path=f"{BASE}/health", handler=get_health, scope=Scope.READ, response=HealthView, wide=True),
    Route(
        method="POST",
        path=f"{BASE}/health/check",
        handler=check_health,
        scope=Scope.READ,
        response=HealthView,
        wide=True,
    ),
    Route(
        method="GET",
        path=f"{BASE}/health/history",
        handler=list_health_history,
        scope=Scope.READ,
        query=HistoryQuery,
        response=Listing[TransitionView],
        media=LISTED,
        wide=True,
    ),
    Route(
        method="POST",
        path=f"{BASE}/optimizer/run",
        handler=run_optimizer,
        scope=Scope.APPROVE,
        response=TickDocument,
        wide=True,
    ),
    Route(
        method="POST",
        path=f"{BASE}/reload",
        handler=reload_configuration,
        scope=Scope.ADMIN,
        response=TickDocument,
        wide=True,
    ),
)

"""Events: take them in, list the inbox and the quarantine."""

from spotd.api import views
from spotd.api.access import Principal, Scope
from spotd.api.bodies import EventQuery, Page
from spotd.api.lookup import select
from spotd.api.routing import BASE, LISTED, Call, NoQuery, Route
from spotd.api.wire import EventResults, EventView, Listing, QuarantineView
from spotd.aws.events import parse
from spotd.store import inbox


async def post_events(call: Call[NoQuery, None]) -> EventResults:
    """Take in one event or an array; answers once they are durable, with what became of each."""
    raw = await call.request.read()
    _require_own(call.principal, raw)
    verdicts = await call.services.ingest(raw, f"api:{call.principal.name}")
    return EventResults(results=tuple(map(views.event_result, verdicts)))


async def list_events(call: Call[EventQuery, None]) -> Listing[EventView]:
    """List the inbox, newest first."""
    query = call.query
    selected = await select(call, query.account_id)
    if selected.nothing:
        return Listing(items=())
    page = await inbox.list_page(
        call.services.db, kind=query.kind, account_id=selected.account_id, limit=query.limit, cursor=query.cursor
    )
    return Listing(items=tuple(map(views.event, page.items)), next_cursor=page.next_cursor)


async def list_quarantine(call: Call[Page, None]) -> Listing[QuarantineView]:
    """List messages that nobody understood, newest first."""
    page = await inbox.list_quarantine(call.services.db, limit=call.query.limit, cursor=call.query.cursor)
    return Listing(items=tuple(map(views.quarantined, page.items)), next_cursor=page.next_cursor)


def _require_own(principal: Principal, raw: bytes) -> None:
    """Refuse events of other accounts from a token that is limited to one."""
    if principal.account is None:
        return
    for verdict in parse(raw):
        if verdict.event is not None and verdict.event.account_id is not None:
            principal.require(verdict.event.account_id)


ROUTES = (
    Route(
        method="POST",
        path=f"{BASE}/events",
        alias="/events",
        handler=post_events,
        scope=Scope.EVENTS,
        response=EventResults,
        status=202,
        raw=True,
        signed=True,
    ),
    Route(
        method="GET",
        path=f"{BASE}/events",
        handler=list_events,
        scope=Scope.READ,
        query=EventQuery,
        response=Listing[EventView],
        media=LISTED,
    ),
    Route(
        method="GET",
        path=f"{BASE}/quarantine",
        handler=list_quarantine,
        scope=Scope.READ,
        query=Page,
        response=Listing[QuarantineView],
        media=LISTED,
        wide=True,
    ),
)

"""The inventory: instances and the overview."""

from datetime import datetime

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.bodies import InstanceQuery, OverviewQuery
from spotd.api.figures import NOTHING, Figures
from spotd.api.figures import overview as overview_of
from spotd.api.lookup import select
from spotd.api.routing import BASE, LISTED, Call, Route
from spotd.api.wire import InstanceView, Listing, Overview
from spotd.store import accounts, instances, overview, scopes
from spotd.store.db import Executor
from spotd.store.instances import InstanceFilter


async def list_instances(call: Call[InstanceQuery, None]) -> Listing[InstanceView]:
    """List instances, gone ones included, each with the age of what is known of it."""
    query, services = call.query, call.services
    selected = await select(call, query.account_id)
    if selected.nothing:
        return Listing(items=())
    wanted = InstanceFilter(
        account_id=selected.account_id,
        region=query.region,
        state=query.state,
        lifecycle=query.lifecycle,
        instance_type=query.instance_type,
        tags=query.tag,
    )
    page = await instances.list_page(services.db, wanted, limit=query.limit, cursor=query.cursor)
    now = services.clock.now()
    return Listing(items=tuple(views.instance(found, now) for found in page.items), next_cursor=page.next_cursor)


async def get_overview(call: Call[OverviewQuery, None]) -> Overview:
    """Show the fleet in figures; what is not known yet is null, with its reason."""
    selected, services = await select(call, call.query.account_id), call.services
    if selected.nothing:
        return overview_of(NOTHING, services.clock.now())
    async with services.db.snapshot() as view:
        figures = Figures(
            known=await overview.read(view, selected.account_id),
            scanned_at=await _scanned_at(view, selected.account_id),
        )
    return overview_of(figures, services.clock.now())


async def _scanned_at(db: Executor, account_id: str | None) -> datetime | None:
    """Return when the scope that is behind most was last completely listed."""
    account = await accounts.find(db, account_id) if account_id else None
    if account_id is not None and account is None:
        return None
    known = await scopes.all_scopes(db, account.id if account else None)
    return min((scope.completed_at for scope in known if scope.completed_at is not None), default=None)


ROUTES = (
    Route(
        method="GET",
        path=f"{BASE}/instances",
        handler=list_instances,
        scope=Scope.READ,
        query=InstanceQuery,
        response=Listing[InstanceView],
        media=LISTED,
    ),
    Route(
        method="GET",
        path=f"{BASE}/overview",
        handler=get_overview,
        scope=Scope.READ,
        query=OverviewQuery,
        response=Overview,
    ),
)

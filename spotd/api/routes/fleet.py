"""The inventory: instances and the overview."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.bodies import InstanceQuery, OverviewQuery
from spotd.api.figures import NOTHING, Figures
from spotd.api.figures import overview as overview_of
from spotd.api.lookup import select
from spotd.api.routing import BASE, LISTED, Call, Route
from spotd.api.wire import InstanceView, Listing, Overview
from spotd.model.fleet import on_demand_prices, spot_prices
from spotd.store import accounts, instances, overview, passes, scopes
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
        known = await _scopes(view, selected.account_id)
        figures = Figures(
            known=await overview.read(view, selected.account_id),
            scanned_at=min((scope.completed_at for scope in known if scope.completed_at is not None), default=None),
            priced_at=_priced_at(
                {scope.region for scope in known if scope.instance_count}, await passes.last_good(view)
            ),
        )
    return overview_of(figures, services.clock.now())


async def _scopes(db: Executor, account_id: str | None) -> tuple[scopes.Scope, ...]:
    if account_id is None:
        return await scopes.all_scopes(db)
    account = await accounts.find(db, account_id)
    return await scopes.all_scopes(db, account.id) if account else ()


def _priced_at(regions: Iterable[str], last_good: Mapping[str, datetime]) -> datetime | None:
    """Return when the prices of these regions that are behind most were read; one never read does not count."""
    sources = (name for region in regions for name in (spot_prices(region), on_demand_prices(region)))
    return min((last_good[source] for source in sources if source in last_good), default=None)


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

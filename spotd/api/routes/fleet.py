"""The inventory: instances and the overview."""

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.bodies import InstanceQuery, OverviewQuery
from spotd.api.lookup import select
from spotd.api.routing import BASE, LISTED, Call, Route
from spotd.api.wire import InstanceView, Listing, Overview
from spotd.store import instances
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
    selected = await select(call, call.query.account_id)
    counts = await instances.counts(call.services.db, account_id=selected.account_id)
    return views.overview(counts, call.services.clock.now())


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

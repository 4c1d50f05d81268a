"""Prices, and what the optimizer makes of them."""

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.bodies import PriceQuery, RecommendationQuery
from spotd.api.lookup import integer_of, select
from spotd.api.routing import BASE, LISTED, Call, NoQuery, Route
from spotd.api.wire import Listing, PriceView, RecommendationView
from spotd.errors import NotFound
from spotd.store import market, recommendations
from spotd.store.market import PriceFilter


async def list_prices(call: Call[PriceQuery, None]) -> Listing[PriceView]:
    """List the newest price of each pool beside its on-demand price, each with its source and time."""
    query = call.query
    wanted = PriceFilter(region=query.region, az=query.az, instance_type=query.instance_type, product=query.product)
    page = await market.list_prices(call.services.db, wanted, limit=query.limit, cursor=query.cursor)
    return Listing(items=tuple(map(views.price, page.items)), next_cursor=page.next_cursor)


async def list_recommendations(call: Call[RecommendationQuery, None]) -> Listing[RecommendationView]:
    """List recommendations and refusals, each with its reasons."""
    query = call.query
    selected = await select(call, query.account_id)
    if selected.nothing:
        return Listing(items=())
    page = await recommendations.list_page(
        call.services.db,
        account_id=selected.account_id,
        verdict=query.verdict,
        state=query.state,
        limit=query.limit,
        cursor=query.cursor,
    )
    return Listing(items=tuple(map(views.recommendation, page.items)), next_cursor=page.next_cursor)


async def get_recommendation(call: Call[NoQuery, None]) -> RecommendationView:
    """Show one recommendation or refusal."""
    found = await recommendations.get(call.services.db, integer_of(call.path["id"]))
    if not call.principal.sees(found.advice.account_id):
        raise NotFound("There is no such recommendation.")
    return views.recommendation(found)


ROUTES = (
    Route(
        method="GET",
        path=f"{BASE}/prices",
        handler=list_prices,
        scope=Scope.READ,
        query=PriceQuery,
        response=Listing[PriceView],
        media=LISTED,
    ),
    Route(
        method="GET",
        path=f"{BASE}/recommendations",
        handler=list_recommendations,
        scope=Scope.READ,
        query=RecommendationQuery,
        response=Listing[RecommendationView],
        media=LISTED,
    ),
    Route(
        method="GET",
        path=f"{BASE}/recommendations/{{id}}",
        handler=get_recommendation,
        scope=Scope.READ,
        response=RecommendationView,
    ),
)

"""Everything the optimizer decides on for one account, read at one moment."""

from spotd.model.fleet import Fleet
from spotd.store import accounts, instances, market, passes
from spotd.store.db import Database


async def snapshot(db: Database, account_id: int) -> Fleet:
    """Return an account's (`accounts.id`) live instances and the market of their regions; raises NotFound."""
    async with db.snapshot() as view:
        account = await accounts.get(view, account_id)
        found = await instances.live(view, account_id)
        regions = sorted({stored.instance.region for stored in found})
        return Fleet(
            account_id=account.account_id,
            instances=found,
            types=await market.instance_types(view),
            spot=await market.spot_prices(view, regions),
            on_demand=await market.on_demand_prices(view, regions),
            advisor=await market.advisor_rates(view, regions),
            cpu=await market.cpu_usage(view, account_id),
            confirmed=await passes.last_good(view),
        )

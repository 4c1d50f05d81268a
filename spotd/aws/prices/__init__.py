"""What capacity costs and how often Spot is interrupted, as AWS publishes it."""

from spotd.aws.prices.advisor import AdvisorFeed, parse_advisor, spot_advisor
from spotd.aws.prices.on_demand import on_demand_from, on_demand_prices
from spotd.aws.prices.spot import spot_price_from, spot_price_history

__all__ = [
    "AdvisorFeed",
    "on_demand_from",
    "on_demand_prices",
    "parse_advisor",
    "spot_advisor",
    "spot_price_from",
    "spot_price_history",
]

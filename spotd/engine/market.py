"""The market of one fleet, indexed for look-ups; equal facts in any order give an equal index."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from spotd.model.fleet import Fleet
from spotd.model.market import AdvisorRate, OnDemandPrice, SpotPrice

Key = tuple[str, str, str]
Quote = TypeVar("Quote", SpotPrice, OnDemandPrice, AdvisorRate)


LINUX = "Linux/UNIX"
SPOT_PRODUCTS = frozenset({LINUX, "Red Hat Enterprise Linux", "SUSE Linux", "Windows"})
"""What the Spot market sells; it refuses to be asked for anything else, such as a database server's licence."""


def product_of(name: str) -> str:
    """Return a product without its network: the pools of `Linux/UNIX (Amazon VPC)` are those of `Linux/UNIX`."""
    return name.removesuffix(" (Amazon VPC)")


def system_of(product: str) -> str:
    """Return the product that the Advisor rates stand under: it knows Windows, and Linux for all else."""
    return "Windows" if product.startswith("Windows") else LINUX


class Market:
    """Prices and interruption bands by where they hold."""

    def __init__(self, fleet: Fleet) -> None:
        self._pools = _pools(fleet.spot)
        self._on_demand = {
            (one.region, one.instance_type, product_of(one.product)): one for one in _oldest_first(fleet.on_demand)
        }
        self._advisor = {
            (one.region, one.instance_type, system_of(one.product)): one for one in _oldest_first(fleet.advisor)
        }

    def pools(self, region: str, zone: str, product: str) -> Mapping[str, SpotPrice]:
        """Return the newest Spot price of each type in one zone."""
        return self._pools.get((region, zone, product_of(product)), {})

    def on_demand(self, region: str, instance_type: str, product: str) -> OnDemandPrice | None:
        """Return the on-demand price, if known."""
        return self._on_demand.get((region, instance_type, product_of(product)))

    def rate(self, region: str, instance_type: str, product: str) -> AdvisorRate | None:
        """Return how often this type is interrupted in this region, if known."""
        return self._advisor.get((region, instance_type, system_of(product)))


def _pools(prices: Iterable[SpotPrice]) -> dict[Key, dict[str, SpotPrice]]:
    found: defaultdict[Key, dict[str, SpotPrice]] = defaultdict(dict)
    for price in _oldest_first(prices):
        found[price.region, price.az, product_of(price.product)][price.instance_type] = price
    return dict(found)


def _oldest_first(quotes: Iterable[Quote]) -> list[Quote]:
    """Order quotes so that the newest wins; of two of one moment the dearer or riskier one."""
    return sorted(quotes, key=lambda one: (one.observed_at, _caution(one)))


def _caution(quote: SpotPrice | OnDemandPrice | AdvisorRate) -> int:
    """Return what makes a quote promise less: a dear Spot price, a cheap on-demand price, a high band."""
    match quote:
        case SpotPrice():
            return quote.micros
        case OnDemandPrice():
            return -quote.micros
        case AdvisorRate():
            return quote.band

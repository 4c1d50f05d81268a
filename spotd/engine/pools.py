"""The Spot pools that could take an instance over: narrowed step by step, then ranked."""

from dataclasses import dataclass, field

from msgspec import Struct

from spotd.engine import savings
from spotd.engine.compatibility import Need, compatible
from spotd.engine.market import Market
from spotd.engine.policy import Policy
from spotd.model.advice import Reason
from spotd.model.instance import InstanceType
from spotd.model.market import AdvisorRate, OnDemandPrice, SpotPrice

COMPUTED = "spotd"


class Place(Struct, frozen=True):
    """Where pools are looked for: the instance's own zone, because its volumes cannot leave it."""

    region: str
    zone: str
    product: str


class Pool(Struct, frozen=True):
    """One qualifying pool with what it would save."""

    price: SpotPrice
    rate: AdvisorRate
    saving: int
    worth: int
    """The saving less the price of the pool's risk: what pools are ranked by."""


class Survey(Struct, frozen=True):
    """What a place offers: the qualifying pools, best first, and why it is not enough if it is not."""

    pools: tuple[Pool, ...]
    objection: Reason | None = None


@dataclass(frozen=True)
class Surveyor:
    """Looks for pools in one market under one policy; which types fit a need is found once."""

    market: Market
    types: tuple[InstanceType, ...]
    policy: Policy
    _fitting: dict[Need, tuple[InstanceType, ...]] = field(default_factory=dict)

    def survey(self, need: Need, place: Place, on_demand: OnDemandPrice) -> Survey:
        """Return the pools of a place that are compatible, priced, calm and cheaper than staying, best first.

        The objection names the step that left fewer than `policy.min_pools`.
        """
        fitting = self._fit(need)
        priced = self._priced(fitting, place)
        calm = self._calm(priced)
        worthwhile = self._worthwhile(calm, on_demand)
        steps = (
            ("compatible_types", len(fitting), "ec2:DescribeInstanceTypes"),
            ("priced_pools", len(priced), "ec2:DescribeSpotPriceHistory"),
            ("calm_pools", len(calm), "spot-advisor"),
            ("worthwhile_pools", len(worthwhile), COMPUTED),
        )
        return Survey(pools=worthwhile, objection=next(filter(None, map(self._too_few, steps)), None))

    def _fit(self, need: Need) -> tuple[InstanceType, ...]:
        if need not in self._fitting:
            self._fitting[need] = compatible(need, self.types)
        return self._fitting[need]

    def _priced(self, fitting: tuple[InstanceType, ...], place: Place) -> list[SpotPrice]:
        quoted = self.market.pools(place.region, place.zone, place.product)
        return [quoted[one.name] for one in fitting if one.name in quoted and quoted[one.name].micros > 0]

    def _calm(self, priced: list[SpotPrice]) -> list[tuple[SpotPrice, AdvisorRate]]:
        rated = ((price, self.market.rate(price.region, price.instance_type, price.product)) for price in priced)
        limit = self.policy.max_interruption_band
        return [(price, rate) for price, rate in rated if rate is not None and rate.band <= limit]

    def _worthwhile(self, calm: list[tuple[SpotPrice, AdvisorRate]], on_demand: OnDemandPrice) -> tuple[Pool, ...]:
        pools = (self._pool(price, rate, on_demand) for price, rate in calm)
        least = self.policy.min_saving_percent
        enough = (pool for pool in pools if pool.saving > 0 and savings.percent(pool.saving, on_demand.micros) >= least)
        return tuple(sorted(enough, key=_rank))

    def _pool(self, price: SpotPrice, rate: AdvisorRate, on_demand: OnDemandPrice) -> Pool:
        penalty = self.policy.band_penalty_percent
        worth = savings.risk_adjusted(on_demand.micros, price.micros, rate.band, penalty_percent=penalty)
        return Pool(price=price, rate=rate, saving=on_demand.micros - price.micros, worth=worth)

    def _too_few(self, step: tuple[str, int, str]) -> Reason | None:
        rule, count, source = step
        least = self.policy.min_pools
        return Reason(rule=rule, value=count, threshold=least, source=source) if count < least else None


def _rank(pool: Pool) -> tuple[int, int, int, str]:
    return (-pool.worth, pool.rate.band, pool.price.micros, pool.price.instance_type)

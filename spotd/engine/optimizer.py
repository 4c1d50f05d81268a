"""Facts to advice: what to move to Spot, what not, and every reason for either.

The whole is a function of the fleet, the policy and `now`. It fails closed: an instance with one unknown or stale
fact behind its recommendation is refused with that fact as the reason.
"""

from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b

import msgspec

from spotd.engine import savings
from spotd.engine.compatibility import Need, need_of
from spotd.engine.eligibility import age_of, is_considered, objections, pipeline_of, stale
from spotd.engine.market import Market
from spotd.engine.policy import Policy
from spotd.engine.pools import COMPUTED, Place, Pool, Survey, Surveyor
from spotd.model import fleet as sources
from spotd.model.advice import Advice, Decision, Placement, Reason
from spotd.model.fleet import Fleet
from spotd.model.instance import Instance, InstanceType, StoredInstance
from spotd.model.market import OnDemandPrice

Question = tuple[Need, Place, OnDemandPrice]


def decide(fleet: Fleet, policy: Policy, now: datetime) -> tuple[Advice, ...]:
    """Advise on each live on-demand instance, in the order of their ids."""
    adviser = _Adviser(fleet, policy, now)
    ordered = sorted(fleet.instances, key=lambda stored: stored.instance.instance_id)
    return tuple(adviser.advise(stored) for stored in ordered if is_considered(stored))


class _Adviser:
    """One run over one fleet; like instances share one survey."""

    def __init__(self, fleet: Fleet, policy: Policy, now: datetime) -> None:
        self._fleet = fleet
        self._policy = policy
        self._now = now
        self._market = Market(fleet)
        self._surveyor = Surveyor(self._market, tuple(fleet.types.values()), policy)
        self._surveys: dict[Question, Survey] = {}
        self._stale: dict[str, tuple[Reason, ...]] = {}

    def advise(self, stored: StoredInstance) -> Advice:
        instance = stored.instance
        own = self._fleet.types.get(instance.instance_type)
        price = self._market.on_demand(instance.region, instance.instance_type, instance.product)
        survey = self._survey(instance, own, price)
        against = (
            *objections(stored, own, self._policy, self._now),
            *self._stale_sources(instance.region),
            *_unpriced(instance, price),
            *((survey.objection,) if survey and survey.objection else ()),
        )
        if against or survey is None or price is None:
            return _advice(stored, price, None, against)
        best = survey.pools[0]
        return _advice(stored, price, best, tuple(self._grounds(stored, price, best, len(survey.pools))))

    def _survey(self, instance: Instance, own: InstanceType | None, price: OnDemandPrice | None) -> Survey | None:
        """Return what the instance's zone offers; None where there is nothing to ask with, or nothing fresh to ask."""
        if own is None or price is None or instance.availability_zone is None or self._stale_sources(instance.region):
            return None
        place = Place(instance.region, instance.availability_zone, instance.product)
        question = (need_of(instance, own), place, price)
        if question not in self._surveys:
            self._surveys[question] = self._surveyor.survey(*question)
        return self._surveys[question]

    def _stale_sources(self, region: str) -> tuple[Reason, ...]:
        if region not in self._stale:
            self._stale[region] = tuple(self._judge_sources(region))
        return self._stale[region]

    def _judge_sources(self, region: str) -> Iterator[Reason]:
        policy = self._policy
        for rule, source, limit in (
            ("spot_price_age", sources.spot_prices(region), policy.spot_max_age),
            ("on_demand_price_age", sources.on_demand_prices(region), policy.on_demand_max_age),
            ("interruption_band_age", sources.ADVISOR, policy.advisor_max_age),
            ("instance_types_age", sources.INSTANCE_TYPES, policy.types_max_age),
        ):
            at = self._fleet.confirmed.get(source)
            reason = stale(rule, source, at, age_of(at, self._now), limit)
            if reason is not None:
                yield reason

    def _grounds(self, stored: StoredInstance, price: OnDemandPrice, pool: Pool, pools: int) -> Iterator[Reason]:
        """Tell what a recommendation rests on: each number with its limit, source and age."""
        policy, region = self._policy, price.region
        yield self._quoted("on_demand_price", price.micros, price.source, sources.on_demand_prices(region))
        yield self._quoted("spot_price", pool.price.micros, pool.price.source, sources.spot_prices(region))
        band = self._quoted("interruption_band", pool.rate.band, pool.rate.source, sources.ADVISOR)
        yield msgspec.structs.replace(band, threshold=policy.max_interruption_band)
        share = savings.percent(pool.saving, price.micros)
        yield Reason(rule="saving_percent", value=share, threshold=policy.min_saving_percent, source=COMPUTED)
        yield Reason(rule="worthwhile_pools", value=pools, threshold=policy.min_pools, source=COMPUTED)
        yield Reason(rule="price_basis", value="gross: no payer connection tells of commitments", source=COMPUTED)
        yield from self._notes(stored)

    def _quoted(self, rule: str, value: int, source: str, confirmed_by: str) -> Reason:
        age = age_of(self._fleet.confirmed.get(confirmed_by), self._now)
        return Reason(rule=rule, value=value, source=source, age_seconds=age)

    def _notes(self, stored: StoredInstance) -> Iterator[Reason]:
        """Tell what else a person approving this wants to know."""
        usage = self._fleet.cpu.get(stored.instance.instance_id)
        if usage is not None:
            age = age_of(usage.observed_at, self._now)
            value = round(usage.average_percent)
            yield Reason(rule="cpu_percent", value=value, source="cloudwatch:GetMetricData", age_seconds=age)
        if stored.load_balancers:
            names = ", ".join(sorted(stored.load_balancers))
            yield Reason(rule="load_balancers", value=names, source="elasticloadbalancing:DescribeTargetHealth")


def _unpriced(instance: Instance, price: OnDemandPrice | None) -> tuple[Reason, ...]:
    if price is not None and price.micros > 0:
        return ()
    named = f"{instance.instance_type} {instance.product}"
    return (Reason(rule="on_demand_price", value=None, threshold=named, source="pricing:GetProducts"),)


def _advice(
    stored: StoredInstance, price: OnDemandPrice | None, pool: Pool | None, reasons: tuple[Reason, ...]
) -> Advice:
    instance = stored.instance
    advice = Advice(
        kind=pipeline_of(stored),
        account_id=instance.account_id,
        instance_ids=(instance.instance_id,),
        source=Placement(
            instance_type=instance.instance_type,
            availability_zone=instance.availability_zone,
            lifecycle=instance.lifecycle.value,
            micros_per_hour=price.micros if price else None,
        ),
        target=_target(pool) if pool else None,
        saving_micros_per_hour=pool.saving if pool else None,
        saving_micros_per_month=savings.per_month(pool.saving) if pool else None,
        verdict=Decision.RECOMMENDED if pool else Decision.REFUSED,
        reasons=reasons,
        digest="",
    )
    return msgspec.structs.replace(advice, digest=digest_of(advice))


def _target(pool: Pool) -> Placement:
    price = pool.price
    return Placement(
        instance_type=price.instance_type,
        availability_zone=price.az,
        lifecycle="spot",
        micros_per_hour=price.micros,
    )


def digest_of(advice: Advice) -> str:
    """Return the hash of what an advice says and rests on; ages are left out, for they change with each tick."""
    ageless = tuple(msgspec.structs.replace(reason, age_seconds=None) for reason in advice.reasons)
    canonical = msgspec.structs.replace(advice, reasons=ageless, digest="")
    return blake2b(msgspec.json.encode(canonical), digest_size=16).hexdigest()

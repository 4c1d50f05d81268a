import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from spotd.engine.compatibility import incompatibility, need_of
from spotd.engine.optimizer import decide, digest_of
from spotd.engine.policy import Policy
from spotd.engine.savings import risk_adjusted
from spotd.model import fleet as sources
from spotd.model.advice import Advice, Decision
from spotd.model.fleet import Fleet
from spotd.model.instance import Lifecycle, State
from spotd.model.market import CpuUsage
from tests.engine.fleets import (
    NOW,
    REGION,
    TYPES,
    confirmed,
    fleet,
    instance,
    instance_type,
    on_demand,
    rate,
    spot,
    stored,
)

POLICY = Policy()


def advise(one: Fleet, policy: Policy = POLICY) -> Advice:
    (advice,) = decide(one, policy, NOW)
    return advice


def rules(advice: Advice) -> list[str]:
    return [reason.rule for reason in advice.reasons]


def found(advice: Advice, rule: str) -> Any:
    (reason,) = [reason for reason in advice.reasons if reason.rule == rule]
    return reason


def test_recommendation() -> None:
    """The best pool of the instance's own zone is recommended, with money per hour and month."""
    advice = advise(fleet())

    assert advice.verdict is Decision.RECOMMENDED
    assert (advice.kind, advice.account_id, advice.instance_ids) == ("single", "123456789012", ("i-" + "0" * 16 + "1",))
    assert (advice.source.instance_type, advice.source.lifecycle, advice.source.micros_per_hour) == (
        "m5.large",
        "on-demand",
        107_000,
    )
    assert advice.target is not None
    assert (advice.target.instance_type, advice.target.availability_zone, advice.target.lifecycle) == (
        "m6i.large",
        "eu-west-1a",
        "spot",
    )
    assert (advice.saving_micros_per_hour, advice.saving_micros_per_month) == (72_000, 72_000 * 730)


def test_each_number_behind_a_recommendation_has_source_and_age() -> None:
    """Prices and the interruption band carry where they came from and how old they are; money says that it is gross."""
    at = NOW - timedelta(seconds=90)
    advice = advise(fleet(confirmed=confirmed(at)))

    for rule, value, source in (
        ("on_demand_price", 107_000, "pricing:GetProducts"),
        ("spot_price", 35_000, "ec2:DescribeSpotPriceHistory"),
        ("interruption_band", 1, "spot-advisor"),
    ):
        reason = found(advice, rule)
        assert (reason.value, reason.source, reason.age_seconds) == (value, source, 90)
    assert found(advice, "interruption_band").threshold == 3
    assert (found(advice, "saving_percent").value, found(advice, "saving_percent").threshold) == (67.2, 10)
    assert found(advice, "price_basis").value.startswith("gross")


def test_notes() -> None:
    """A recommendation tells the CPU used and the load balancers served."""
    one = instance()
    usage = CpuUsage(
        instance_id=one.instance_id,
        average_percent=12.4,
        peak_percent=80,
        hours=24,
        observed_at=NOW - timedelta(hours=1),
    )
    listed = stored(one, load_balancers=("web", "api"))
    advice = advise(fleet(instances=(listed,), cpu={one.instance_id: usage}))

    assert (found(advice, "cpu_percent").value, found(advice, "cpu_percent").age_seconds) == (12, 3600)
    assert found(advice, "load_balancers").value == "api, web"


@pytest.mark.parametrize(
    ("facts", "rule", "value"),
    [
        ({"managed": False}, "managed", False),
        ({"state": State.STOPPED}, "state", "stopped"),
        ({"asg_name": "web"}, "auto_scaling_group", "web"),
        ({"cluster": "prod"}, "cluster", "prod"),
        ({"tenancy": "dedicated"}, "tenancy", "dedicated"),
        ({"root_device": "instance-store"}, "root_device", "instance-store"),
        ({"availability_zone": None}, "availability_zone", None),
        ({"instance_type": "x9.huge"}, "instance_type", "x9.huge"),
        ({"product": "SUSE Linux"}, "on_demand_price", None),
    ],
)
def test_an_objection_refuses(facts: dict[str, Any], rule: str, value: object) -> None:
    """Each rule that forbids a move refuses it, with the value it saw and without a target."""
    advice = advise(fleet(instance(**facts)))

    assert advice.verdict is Decision.REFUSED
    assert found(advice, rule).value == value
    assert (advice.target, advice.saving_micros_per_hour, advice.saving_micros_per_month) == (None, None, None)


def test_all_reasons_are_told() -> None:
    """A refusal names every rule broken, those of the instance and those of the market."""
    advice = advise(fleet(instance(managed=False, tenancy="host"), advisor=()))
    assert rules(advice) == ["managed", "tenancy", "calm_pools"]


def test_instance_store_refuses() -> None:
    """A type with instance storage is not moved: what is on it would be lost."""
    advice = advise(fleet(types=TYPES | {"m5.large": instance_type("m5.large", storage_gb=75)}))
    assert found(advice, "instance_store_gb").value == 75


def test_kinds() -> None:
    """Members of a group or a cluster are told apart from single instances."""
    kinds = [
        advice.kind
        for advice in decide(
            fleet(instance(1), instance(2, asg_name="a"), instance(3, asg_name="a", cluster="c")), POLICY, NOW
        )
    ]
    assert kinds == ["single", "group", "kubernetes"]


def test_opt_in_can_be_waived() -> None:
    """A policy without opt-in judges untagged instances too."""
    assert advise(fleet(instance(managed=False)), Policy(require_opt_in=False)).verdict is Decision.RECOMMENDED


def test_only_live_on_demand_instances_are_judged() -> None:
    """Spot instances and tombstones get no advice."""
    gone = instance(2, state=State.TERMINATED)
    assert decide(fleet(instance(1, lifecycle=Lifecycle.SPOT), gone), POLICY, NOW) == ()


@pytest.mark.parametrize(
    ("source", "rule", "limit"),
    [
        (sources.spot_prices(REGION), "spot_price_age", POLICY.spot_max_age),
        (sources.on_demand_prices(REGION), "on_demand_price_age", POLICY.on_demand_max_age),
        (sources.ADVISOR, "interruption_band_age", POLICY.advisor_max_age),
        (sources.INSTANCE_TYPES, "instance_types_age", POLICY.types_max_age),
    ],
)
def test_a_stale_source_refuses(source: str, rule: str, limit: float) -> None:
    """A source past its age, or never confirmed, refuses with its age and limit; at the limit it still counts."""
    at_limit, past = (NOW - timedelta(seconds=limit + extra) for extra in (0, 1))
    assert advise(fleet(confirmed={**confirmed(), source: at_limit})).verdict is Decision.RECOMMENDED

    stale = advise(fleet(confirmed={**confirmed(), source: past}))
    assert rules(stale) == [rule]
    assert (found(stale, rule).age_seconds, found(stale, rule).threshold) == (limit + 1, limit)

    never = advise(fleet(confirmed={name: at for name, at in confirmed().items() if name != source}))
    assert (rules(never), found(never, rule).age_seconds) == ([rule], None)


@pytest.mark.parametrize("at", [None, NOW - timedelta(seconds=POLICY.inventory_max_age + 1)])
def test_a_stale_inventory_refuses(at: Any) -> None:
    """What was not listed completely of late is not moved."""
    advice = advise(fleet(instances=(stored(instance(), scope_completed_at=at),)))
    assert rules(advice) == ["inventory_age"]


def test_a_clock_behind_a_source_is_no_age() -> None:
    """A pass that ended a little ahead of our clock is fresh."""
    assert advise(fleet(confirmed=confirmed(NOW + timedelta(seconds=5)))).verdict is Decision.RECOMMENDED


@pytest.mark.parametrize(
    ("facts", "rule", "value"),
    [
        ({"types": {"m5.large": TYPES["m5.large"]}}, "compatible_types", 1),
        ({"spot": (spot("m5.large", 40_000),)}, "priced_pools", 1),
        ({"spot": tuple(spot(name, 40_000, az="eu-west-1b") for name in TYPES)}, "priced_pools", 0),
        ({"spot": tuple(spot(name, 40_000, product="Windows") for name in TYPES)}, "priced_pools", 0),
        ({"spot": tuple(spot(name, 0) for name in TYPES)}, "priced_pools", 0),
        ({"advisor": tuple(rate(name, 4) for name in TYPES)}, "calm_pools", 0),
        ({"advisor": (rate("m5.large", 0),)}, "calm_pools", 1),
        ({"spot": tuple(spot(name, 100_000) for name in TYPES)}, "worthwhile_pools", 0),
        ({"spot": tuple(spot(name, 200_000) for name in TYPES)}, "worthwhile_pools", 0),
    ],
)
def test_a_market_without_two_good_pools_refuses(facts: dict[str, Any], rule: str, value: int) -> None:
    """The first step that leaves fewer than two pools is told with its count."""
    advice = advise(fleet(**facts))

    assert rules(advice) == [rule]
    assert (found(advice, rule).value, found(advice, rule).threshold) == (value, 2)


def test_one_pool_is_enough_where_the_policy_says_so() -> None:
    """The least number of pools is the policy's."""
    advice = advise(fleet(spot=(spot("m5.large", 40_000),)), Policy(min_pools=1))
    assert advice.target is not None
    assert advice.target.instance_type == "m5.large"


def test_a_calmer_pool_beats_a_slightly_cheaper_one() -> None:
    """An interruption band has its price in the ranking."""
    advice = advise(fleet(advisor=(rate("m5.large", 0), rate("m5a.large", 1), rate("m6i.large", 3))))
    assert advice.target is not None
    assert advice.target.instance_type == "m5.large"


def test_the_newest_price_of_a_pool_counts() -> None:
    """Of several prices of one pool the newest is used, whatever product name it came under."""
    older = spot("m6i.large", 1_000, observed_at=NOW - timedelta(hours=2))
    newer = spot("m6i.large", 36_000, product="Linux/UNIX (Amazon VPC)")
    advice = advise(fleet(spot=(newer, older, spot("m5.large", 40_000))))
    assert found(advice, "spot_price").value == 36_000


def test_windows_is_rated_and_priced_apart() -> None:
    """A Windows instance is compared with Windows prices and bands."""
    names = ("m5.large", "m6i.large")
    one = fleet(
        instance(product="Windows"),
        spot=tuple(spot(name, 120_000, product="Windows") for name in names),
        on_demand=(on_demand("m5.large", 200_000, product="Windows"), on_demand("m5.large", 1)),
        advisor=tuple(rate(name, 2, product="Windows") for name in names),
    )
    assert advise(one).saving_micros_per_hour == 80_000


def test_digest_ignores_the_passing_of_time() -> None:
    """The same facts a minute later, still fresh, give the same digest; a changed price gives another."""
    one = fleet(instance(1), instance(2, managed=False))
    first, later = (decide(one, POLICY, NOW + timedelta(seconds=wait)) for wait in (0, 60))

    assert [advice.digest for advice in first] == [advice.digest for advice in later]
    assert len({advice.digest for advice in first}) == 2
    cheaper = replace(one, spot=(*one.spot[:2], spot("m6i.large", 34_999)))
    assert decide(cheaper, POLICY, NOW)[0].digest != first[0].digest


def test_a_refusal_for_age_keeps_its_digest() -> None:
    """A source that stays stale does not make new advice with each tick."""
    one = fleet(confirmed={})
    assert advise(one).digest == decide(one, POLICY, NOW + timedelta(hours=1))[0].digest


names = st.sampled_from(sorted([*TYPES, "c5.large", "t3.large", "m6g.large"]))
facts = st.fixed_dictionaries(
    {
        "vcpus": st.sampled_from([1, 2, 4, 16]),
        "memory_mib": st.sampled_from([4096, 8192, 16384]),
        "architectures": st.sampled_from([frozenset({"x86_64"}), frozenset({"arm64"}), frozenset({"i386", "x86_64"})]),
        "usage_classes": st.sampled_from([frozenset({"on-demand"}), frozenset({"on-demand", "spot"})]),
        "burstable": st.booleans(),
        "gpus": st.sampled_from([0, 0, 1]),
        "storage_gb": st.sampled_from([0, 0, 75]),
        "network_mbps": st.sampled_from([None, 500, 750, 1250]),
        "ena": st.sampled_from(["unsupported", "supported", "required"]),
        "hypervisor": st.sampled_from([None, "xen", "nitro"]),
        "current_generation": st.booleans(),
        "bare_metal": st.booleans(),
    }
)
catalogues = st.dictionaries(names, facts).map(
    lambda known: {name: instance_type(name, **of) for name, of in known.items()}
)
micros = st.integers(0, 200_000)
fleets = st.builds(
    lambda instances, types, prices, bands, price: fleet(
        instances=tuple(stored(one) for one in instances),
        types=TYPES | types,
        spot=tuple(spot(name, cost, az=zone) for (name, zone), cost in prices.items()),
        advisor=tuple(rate(name, band) for name, band in bands.items()),
        on_demand=tuple(on_demand(name, price) for name in TYPES),
    ),
    st.lists(
        st.builds(
            lambda number, name, ena, managed: instance(number, instance_type=name, ena=ena, managed=managed),
            st.integers(1, 10**6),
            names,
            st.sampled_from([None, True, False]),
            st.booleans(),
        ),
        max_size=4,
        unique_by=lambda one: one.instance_id,
    ),
    catalogues,
    st.dictionaries(st.tuples(names, st.sampled_from(["eu-west-1a", "eu-west-1b"])), micros),
    st.dictionaries(names, st.integers(0, 4)),
    micros,
)


@given(fleets)
def test_never_an_incompatible_unsafe_or_dearer_target(one: Fleet) -> None:
    """Whatever the market, a target fits the instance, is calm, priced in its zone and cheaper; money adds up."""
    bands = {quote.instance_type: quote.band for quote in one.advisor}
    by_id = {listed.instance.instance_id: listed.instance for listed in one.instances}
    for advice in decide(one, POLICY, NOW):
        if advice.verdict is Decision.REFUSED:
            assert advice.reasons
            continue
        moved, target, source = by_id[advice.instance_ids[0]], advice.target, advice.source
        assert target is not None
        assert incompatibility(need_of(moved, one.types[moved.instance_type]), one.types[target.instance_type]) is None
        assert moved.managed
        assert bands[target.instance_type] <= 3
        assert target.availability_zone == moved.availability_zone
        assert source.micros_per_hour is not None
        assert target.micros_per_hour is not None
        assert advice.saving_micros_per_hour == source.micros_per_hour - target.micros_per_hour > 0


@given(fleets, st.randoms(use_true_random=False))
def test_order_does_not_matter(one: Fleet, rng: random.Random) -> None:
    """The same facts in another order give the same advice, digests included."""
    shuffled = Fleet(
        account_id=one.account_id,
        instances=tuple(rng.sample(one.instances, len(one.instances))),
        types=dict(rng.sample(list(one.types.items()), len(one.types))),
        spot=tuple(rng.sample(one.spot, len(one.spot))),
        on_demand=tuple(rng.sample(one.on_demand, len(one.on_demand))),
        advisor=tuple(rng.sample(one.advisor, len(one.advisor))),
        confirmed=one.confirmed,
    )
    assert decide(one, POLICY, NOW) == decide(shuffled, POLICY, NOW)


@given(fleets)
def test_stale_prices_recommend_nothing(one: Fleet) -> None:
    """An hour and a second after the last price pass nothing is recommended any more."""
    late = NOW + timedelta(seconds=POLICY.spot_max_age + 1)
    assert all(advice.verdict is Decision.REFUSED for advice in decide(one, POLICY, late))


def worth(advice: Advice, bands: dict[str, int]) -> int:
    if advice.target is None or advice.target.micros_per_hour is None or advice.source.micros_per_hour is None:
        return 0
    source, spot_price = advice.source.micros_per_hour, advice.target.micros_per_hour
    band = bands[advice.target.instance_type]
    return risk_adjusted(source, spot_price, band, penalty_percent=POLICY.band_penalty_percent)


@given(fleets.filter(lambda one: one.spot), st.data())
def test_a_cheaper_pool_never_lowers_what_is_gained(one: Fleet, data: st.DataObject) -> None:
    """A pool becoming cheaper can only keep or raise the risk-adjusted saving, and never turns advice into a refusal."""
    place = data.draw(st.integers(0, len(one.spot) - 1))
    pool = one.spot[place]
    cheaper = replace(pool, micros=data.draw(st.integers(min(1, pool.micros), pool.micros)))
    after = replace(one, spot=(*one.spot[:place], cheaper, *one.spot[place + 1 :]))
    bands = {quote.instance_type: quote.band for quote in one.advisor}

    for before, now in zip(decide(one, POLICY, NOW), decide(after, POLICY, NOW), strict=True):
        assert (before.verdict is Decision.RECOMMENDED) <= (now.verdict is Decision.RECOMMENDED)
        assert worth(now, bands) >= worth(before, bands)


@given(fleets)
def test_digest_is_of_what_is_said(one: Fleet) -> None:
    """A digest can be computed again from the advice it stands in."""
    assert all(advice.digest == digest_of(advice) for advice in decide(one, POLICY, NOW))

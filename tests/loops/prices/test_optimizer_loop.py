from datetime import timedelta

from spotd.changes import Change
from spotd.config import OptimizerConfig
from spotd.engine.policy import Policy
from spotd.loops.optimizer import Optimizer, OptimizerResult, policy_of
from spotd.model import fleet as names
from spotd.model.advice import Decision, Recommendation
from spotd.store import accounts, passes, recommendations
from tests.loops.prices.worlds import World

SPOT_AGE = OptimizerConfig().spot_price_max_age


def optimizer(world: World) -> Optimizer:
    return Optimizer(db=world.db, config=OptimizerConfig(), clock=world.clock, changes=world.changes)


async def standing(world: World) -> list[Recommendation]:
    return list((await recommendations.list_page(world.db, state="open")).items)


async def test_an_account_is_advised(world: World) -> None:
    """A priced, opted-in instance is recommended to move, the advice is stored, and who listens is told."""
    account = await world.onboard()
    await world.scraper.tick()
    news = world.changes.subscribe()

    result = await optimizer(world).tick()

    assert result == OptimizerResult(accounts=1, recommended=1, refused=0, changed=1)
    (stored,) = await standing(world)
    assert (stored.advice.account_id, stored.advice.verdict) == (account.account_id, Decision.RECOMMENDED)
    assert stored.advice.saving_micros_per_hour == 107_000 - 35_000
    assert stored.expires_at == world.clock.now() + timedelta(seconds=OptimizerConfig().recommendation_ttl)
    assert (await passes.last_good(world.db))[names.OPTIMIZER] == world.clock.now()
    change = await anext(news)
    assert isinstance(change, Change)
    assert (change.topic, change.facts["recommended"]) == ("recommendations", 1)


async def test_unchanged_facts_change_nothing(world: World) -> None:
    """A second run over the same facts keeps the advice, renews it, and tells nobody."""
    await world.onboard()
    await world.scraper.tick()
    runs = optimizer(world)
    await runs.tick()
    (before,) = await standing(world)
    sequence = world.changes.sequence

    world.clock.forward(minutes=40)
    assert (await runs.tick()).changed == 0
    (after,) = await standing(world)
    assert (after.id, world.changes.sequence) == (before.id, sequence)
    assert after.expires_at > before.expires_at


async def test_stale_prices_turn_a_recommendation_into_a_refusal(world: World) -> None:
    """When prices are no longer confirmed the advice is superseded by a refusal that says so."""
    await world.onboard()
    await world.scraper.tick()
    runs = optimizer(world)
    await runs.tick()
    world.clock.forward(seconds=SPOT_AGE + 1)

    result = await runs.tick()

    assert (result.recommended, result.refused) == (0, 1)
    (stored,) = await standing(world)
    assert [reason.rule for reason in stored.advice.reasons] == ["spot_price_age"]
    assert stored.advice.target is None


async def test_without_prices_everything_is_refused(world: World) -> None:
    """Before the first price pass nothing is recommended, and each unread source is named."""
    await world.onboard()
    await optimizer(world).tick()
    (stored,) = await standing(world)
    assert {reason.rule for reason in stored.advice.reasons} == {
        "spot_price_age",
        "on_demand_price_age",
        "interruption_band_age",
        "instance_types_age",
        "instance_type",
        "on_demand_price",
    }


async def test_accounts_do_not_mix(world: World) -> None:
    """Each active account gets its own advice; one that is not active gets none."""
    one, two = await world.onboard("111111111111"), await world.onboard("222222222222", "eu-west-1")
    await accounts.create_pending(world.db, account_id="333333333333", name="c", external_id="x", now=world.clock.now())
    await world.scraper.tick()

    assert (await optimizer(world).tick()).accounts == 2
    for account in (one, two):
        page = await recommendations.list_page(world.db, account_id=account.account_id)
        assert [stored.advice.account_id for stored in page.items] == [account.account_id]


async def test_advice_for_what_is_gone_is_superseded(world: World) -> None:
    """An ended instance has no advice any more."""
    account = await world.onboard()
    await world.scraper.tick()
    runs = optimizer(world)
    await runs.tick()
    await world.listed(account, "us-east-1", ())

    assert await runs.tick() == OptimizerResult(accounts=1, changed=1)
    assert await standing(world) == []


def test_policy_of_the_defaults() -> None:
    """The configuration's defaults are the policy's."""
    assert policy_of(OptimizerConfig()) == Policy()

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotd.loops.health.targets import Target, choose

targets = st.sets(
    st.builds(Target, account=st.integers(1, 30), region=st.sampled_from([f"region-{n}" for n in range(12)])),
    max_size=120,
).map(sorted)


@given(targets, st.integers(0, 1000))
def test_every_round_reaches_every_account_and_every_region(known: list[Target], turn: int) -> None:
    """Whatever is dead, an account or a region, one round finds it."""
    chosen = choose(known, turn=turn, budget=1000)

    assert {target.account for target in chosen} == {target.account for target in known}
    assert {target.region for target in chosen} == {target.region for target in known}
    assert len(chosen) == len(set(chosen)) <= len({t.account for t in known}) + len({t.region for t in known})


@given(targets, st.integers(0, 1000), st.integers(1, 20))
def test_a_round_stays_within_its_budget(known: list[Target], turn: int, budget: int) -> None:
    """However many account-regions there are, a round asks no more than it may."""
    assert len(choose(known, turn=turn, budget=budget)) <= budget


@pytest.mark.parametrize("budget", [4, 1000])
def test_over_the_rounds_every_account_region_is_probed(budget: int) -> None:
    """No pair is left out for ever, also where the budget does not hold all accounts."""
    known = sorted(Target(account, f"region-{n}") for account in range(6) for n in range(5))

    probed = {target for turn in range(60) for target in choose(known, turn=turn, budget=budget)}

    assert probed == set(known)

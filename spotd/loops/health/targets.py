"""Which account-regions a round of probes asks: few, and yet every account and every region in each round."""

from collections.abc import Sequence

from msgspec import Struct

from spotd.model.account import Account


class Target(Struct, frozen=True, order=True):
    """One account (`accounts.id`) in one region."""

    account: int
    region: str


def choose(targets: Sequence[Target], *, turn: int, budget: int) -> list[Target]:
    """Pick one target per account, another for each region that none of them covers, at most `budget` of them.

    `turn` moves the choice on, so that over the rounds every account-region gets its probe.
    """
    by_account: dict[int, list[Target]] = {}
    for target in targets:
        by_account.setdefault(target.account, []).append(target)
    chosen = [regions[(turn + position) % len(regions)] for position, regions in enumerate(by_account.values())]
    covered = {target.region for target in chosen}
    for target in _rotated(targets, turn):
        if target.region not in covered:
            chosen.append(target)
            covered.add(target.region)
    return _rotated(chosen, turn * budget if len(chosen) > budget else 0)[:budget]


def excluded_regions(account: Account) -> set[str]:
    """Regions that the account's conditions say it may not use."""
    prefix = "RegionExcluded/"
    return {c.type.removeprefix(prefix) for c in account.conditions if c.status and c.type.startswith(prefix)}


def _rotated(targets: Sequence[Target], by: int) -> list[Target]:
    start = by % len(targets) if targets else 0
    return [*targets[start:], *targets[:start]]

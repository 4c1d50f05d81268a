"""Regions and zones as an account sees them: which are enabled, and which zone id hides behind a zone's name."""

from collections.abc import Mapping, Sequence
from functools import cache

ENABLED_BY_DEFAULT = (
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
    "ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
    "us-east-1", "us-east-2", "us-west-1", "us-west-2",
)  # fmt: skip
OPT_IN = ("af-south-1", "ap-east-1", "eu-south-1", "me-south-1")

_LETTERS = {
    "us-west-1": "ab",
    "ca-central-1": "abd",
    "ap-northeast-1": "acd",
    "us-east-1": "abcdef",
    "us-west-2": "abcd",
    "ap-northeast-2": "abcd",
}
_NUMBERS = {
    "us-west-1": (3, 1),
    "ca-central-1": (1, 2, 4),
    "ap-northeast-1": (4, 1, 2),
    "us-east-1": (6, 1, 2, 4, 3, 5),
    "us-west-2": (2, 1, 3, 4),
    "eu-west-1": (3, 1, 2),
    "eu-west-2": (2, 3, 1),
}
_DIRECTIONS = {"north": "n", "south": "s", "east": "e", "west": "w", "central": "c"}
_COMPOUND = {"northeast": "ne", "southeast": "se", "northwest": "nw", "southwest": "sw"}


def short_name(region: str) -> str:
    """The prefix of a region's zone ids: `use1` for `us-east-1`."""
    area, direction, number = region.split("-")[:3]
    return f"{area}{(_COMPOUND | _DIRECTIONS).get(direction, direction[:1])}{number}"


@cache
def zones(region: str, rotation: int = 0) -> Mapping[str, str]:
    """Zone name → zone id. `rotation` differs between accounts: AWS shuffles names against ids on purpose."""
    letters = _LETTERS.get(region, "abc")
    numbers = _NUMBERS.get(region, tuple(range(1, len(letters) + 1)))
    turn = rotation % len(numbers)
    ids = [f"{short_name(region)}-az{number}" for number in (*numbers[turn:], *numbers[:turn])]
    return {f"{region}{letter}": zone_id for letter, zone_id in zip(letters, ids, strict=True)}


def known(region: str, enabled: Sequence[str]) -> bool:
    """Whether AWS has such a region at all."""
    return region in {*ENABLED_BY_DEFAULT, *OPT_IN, *enabled}

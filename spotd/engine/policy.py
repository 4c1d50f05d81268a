"""What an operator may set about recommendations."""

from msgspec import Struct

HOUR = 3600.0
DAY = 24 * HOUR


class Policy(Struct, frozen=True, kw_only=True):
    """The limits of a recommendation. Ages are seconds; what is older counts as unknown."""

    require_opt_in: bool = True
    """Only instances whose owner tagged them; without it every instance is judged."""

    max_interruption_band: int = 3
    """The worst Spot Advisor band a pool may have: 3 stands for less than 20 % interrupted per month."""

    min_saving_percent: float = 10.0
    """The least saving worth a move, in percent of the on-demand price."""

    min_pools: int = 2
    """Pools that must qualify in the instance's zone, so that an interruption leaves somewhere to go."""

    band_penalty_percent: int = 3
    """What each interruption band costs a pool in the ranking, in percent of the on-demand price."""

    inventory_max_age: float = 2 * HOUR
    """Covers the hourly scan of quiet regions."""

    spot_max_age: float = HOUR
    """Six price passes at their default interval."""

    on_demand_max_age: float = 7 * DAY
    """On-demand prices change about once a year."""

    advisor_max_age: float = 2 * DAY
    """The feed is a trailing month, refreshed about daily."""

    types_max_age: float = 30 * DAY
    """What a type offers does not change; new types appear monthly."""

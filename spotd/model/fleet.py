"""Everything the optimizer decides on for one account, read at one moment."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from spotd.model.instance import InstanceType, StoredInstance
from spotd.model.market import AdvisorRate, CpuUsage, OnDemandPrice, SpotPrice

ADVISOR = "spot_advisor"
INSTANCE_TYPES = "instance_types"
PRICES = "prices"
OPTIMIZER = "optimizer"


def spot_prices(region: str) -> str:
    """Name the source of one region's Spot prices."""
    return f"spot_prices/{region}"


def on_demand_prices(region: str) -> str:
    """Name the source of one region's on-demand prices."""
    return f"on_demand_prices/{region}"


def cpu_usage(account_id: int, region: str) -> str:
    """Name the source of CPU use of one account (`accounts.id`) in one region."""
    return f"cpu_usage/{account_id}/{region}"


class Fleet(Struct, frozen=True, kw_only=True):
    """One account's live instances and the market of their regions.

    `account_id` is the 12 digits. `confirmed` tells when each source's last good pass ended, by the names above: a
    price that has not changed for days is as fresh as the last pass that saw it.
    """

    account_id: str
    instances: tuple[StoredInstance, ...] = ()
    types: Mapping[str, InstanceType] = {}
    spot: tuple[SpotPrice, ...] = ()
    on_demand: tuple[OnDemandPrice, ...] = ()
    advisor: tuple[AdvisorRate, ...] = ()
    cpu: Mapping[str, CpuUsage] = {}
    confirmed: Mapping[str, datetime] = {}

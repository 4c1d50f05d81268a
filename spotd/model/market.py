"""Prices and interruption bands. Money is an integer of micro-dollars (millionths of a US dollar)."""

from datetime import datetime

from msgspec import Struct


class SpotPrice(Struct, frozen=True, kw_only=True):
    """The Spot price of one pool (type × AZ × product), per hour, and when AWS set it."""

    region: str
    az: str
    az_id: str | None = None
    instance_type: str
    product: str
    micros: int
    observed_at: datetime
    source: str = "ec2:DescribeSpotPriceHistory"


class OnDemandPrice(Struct, frozen=True, kw_only=True):
    """The public on-demand price of a type in a region, shared tenancy, per hour."""

    region: str
    instance_type: str
    product: str
    micros: int
    observed_at: datetime
    source: str = "pricing:GetProducts"


class AdvisorRate(Struct, frozen=True, kw_only=True):
    """One row of the Spot Advisor feed: interruption band and savings over the trailing month.

    `band` 0–4 stands for <5 %, 5–10 %, 10–15 %, 15–20 %, >20 % interrupted per month.
    """

    region: str
    instance_type: str
    product: str
    band: int
    savings_percent: int
    observed_at: datetime
    source: str = "spot-advisor"


class CpuUsage(Struct, frozen=True, kw_only=True):
    """Average and peak CPU percent of one instance over the hours observed (CloudWatch)."""

    instance_id: str
    average_percent: float
    peak_percent: float
    hours: int
    observed_at: datetime

"""DescribeSpotPriceHistory: what each pool costs, and since when."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Final

import structlog

from spotd.aws.errors import MalformedReply
from spotd.aws.instances.listing import batched
from spotd.aws.replies import Raw, optional_text, required_micros, required_text, required_time
from spotd.aws.session import AccountSession
from spotd.model.market import SpotPrice

log = structlog.get_logger(__name__)

PAGE_SIZE: Final = 200
"""Prices a page: botocore's parser holds the event loop meanwhile."""
TYPES_ASKED: Final = 100
VPC: Final = " (Amazon VPC)"


async def spot_price_history(
    session: AccountSession,
    region: str,
    *,
    instance_types: Iterable[str],
    products: Iterable[str],
    start: datetime,
    end: datetime,
) -> AsyncIterator[tuple[SpotPrice, ...]]:
    """Yield the price changes between two moments, and for each pool the price in force at `start`, page by page.

    Every zone of the region, newest first within a page. Raises AwsError; a row without a price is logged and left
    out.
    """
    asked = {"ProductDescriptions": sorted(set(products)), "StartTime": start, "EndTime": end, "MaxResults": PAGE_SIZE}
    for some in batched(sorted(set(instance_types)), TYPES_ASKED):
        async for page in session.pages("ec2", region, "DescribeSpotPriceHistory", InstanceTypes=some, **asked):
            yield tuple(price for raw in page.rows if (price := _understood(raw, region)) is not None)


def spot_price_from(raw: Raw, region: str) -> SpotPrice:
    """Return the price AWS tells; raises MalformedReply if the pool, the price or its time is missing."""
    return SpotPrice(
        region=region,
        az=required_text(raw, "AvailabilityZone"),
        az_id=optional_text(raw, "AvailabilityZoneId"),
        instance_type=required_text(raw, "InstanceType"),
        product=required_text(raw, "ProductDescription").removesuffix(VPC),
        micros=required_micros(raw, "SpotPrice"),
        observed_at=required_time(raw, "Timestamp"),
    )


def _understood(raw: Raw, region: str) -> SpotPrice | None:
    try:
        return spot_price_from(raw, region)
    except MalformedReply as error:
        log.warning("aws.spot_price_refused", region=region, instance_type=raw.get("InstanceType"), error=str(error))
        return None

"""Price List API (GetProducts): the public on-demand prices of shared tenancy."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

import msgspec
import structlog
from botocore.loaders import Loader

from spotd.aws.errors import MalformedReply
from spotd.aws.instances.listing import batched
from spotd.aws.replies import Raw, optional_text, part, parts, required_micros, required_text
from spotd.aws.session import AccountSession
from spotd.model.market import OnDemandPrice

log = structlog.get_logger(__name__)

API_REGION: Final = "us-east-1"
"""The Price List API lives in few regions, and each knows the prices of all."""
PAGE_SIZE: Final = 100
TYPES_ASKED: Final = 40
"""Types in one question: a filter's value holds 1,024 characters, the longest names have about 20."""
SYSTEMS: Final = {
    "Linux": "Linux/UNIX",
    "RHEL": "Red Hat Enterprise Linux",
    "SUSE": "SUSE Linux",
    "Windows": "Windows",
}
"""The price list's operating systems, and the Spot market's product of each."""
PLAIN: Final = {
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
}
"""What an ordinary launch is billed as, in the price list's words."""
ORDINARY: Final = PLAIN | {"marketoption": "OnDemand"}
HOURS: Final = "Hrs"
ATTRIBUTES: Final = ("product", "attributes")


async def on_demand_prices(
    session: AccountSession, region: str, instance_types: Iterable[str], *, products: Iterable[str] | None = None
) -> tuple[OnDemandPrice, ...]:
    """Return the on-demand prices of these types in a region, for these products or all four; raises AwsError.

    `observed_at` is now: AWS tells the prices in force. Products that are sold otherwise (own licence, reserved,
    capacity block) are left out.
    """
    found: dict[tuple[str, str], OnDemandPrice] = {}
    for question in _questions(region, instance_types, products):
        async for page in session.pages("pricing", API_REGION, "GetProducts", **question):
            for price in await asyncio.to_thread(_understood, page.rows, session.now()):
                found[price.instance_type, price.product] = price
    return tuple(found.values())


def on_demand_from(raw: str | bytes | Raw, *, observed_at: datetime) -> OnDemandPrice:
    """Return the price of one product of the list (its JSON text, or that decoded); raises MalformedReply."""
    product = _decoded(raw)
    if (unfit := _unfit(product)) is not None:
        raise unfit
    return OnDemandPrice(
        region=_region_of(product),
        instance_type=required_text(product, *ATTRIBUTES, "instanceType"),
        product=SYSTEMS[required_text(product, *ATTRIBUTES, "operatingSystem")],
        micros=required_micros(_hourly(product), "pricePerUnit", "USD"),
        observed_at=observed_at,
    )


def _questions(region: str, types: Iterable[str], products: Iterable[str] | None) -> Iterator[dict[str, Any]]:
    wanted = set(SYSTEMS.values() if products is None else products)
    systems = [system for system, product in SYSTEMS.items() if product in wanted]
    exact = [_filter("TERM_MATCH", field, value) for field, value in {"regionCode": region, **PLAIN}.items()]
    for some in batched(sorted(set(types)), TYPES_ASKED) if systems else ():
        any_of = [
            _filter("ANY_OF", "instanceType", ",".join(some)),
            _filter("ANY_OF", "operatingSystem", ",".join(systems)),
        ]
        yield {
            "ServiceCode": "AmazonEC2",
            "FormatVersion": "aws_v1",
            "Filters": exact + any_of,
            "MaxResults": PAGE_SIZE,
        }


def _filter(kind: str, field: str, value: str) -> dict[str, str]:
    return {"Type": kind, "Field": field, "Value": value}


def _understood(page: Sequence[str], observed_at: datetime) -> list[OnDemandPrice]:
    """Runs in a thread: a page is half a megabyte of JSON."""
    prices = []
    for text in page:
        try:
            product = _decoded(text)
            if _unfit(product) is None:
                prices.append(on_demand_from(product, observed_at=observed_at))
        except MalformedReply as error:
            log.warning("aws.on_demand_price_refused", error=str(error))
    return prices


def _decoded(raw: str | bytes | Raw) -> Raw:
    if not isinstance(raw, str | bytes):
        return raw
    try:
        decoded = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise MalformedReply("", f"not JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise MalformedReply("", "not an object")
    return decoded


def _unfit(product: Raw) -> MalformedReply | None:
    """Return why a product is not what an ordinary launch is billed as, None if it is.

    Ordinary is shared tenancy, licence included, nothing reserved.
    """
    attributes = part(part(product, "product"), "attributes")
    for field, value in ORDINARY.items():
        if attributes.get(field, value) != value:
            return MalformedReply(f"/product/attributes/{field}", f"{attributes[field]!r} instead of {value!r}")
    system = attributes.get("operatingSystem")
    if system not in SYSTEMS:
        return MalformedReply("/product/attributes/operatingSystem", f"no Spot product for {system!r}")
    return None


def _region_of(product: Raw) -> str:
    """Products listed before 2021 name their region in words only."""
    code = optional_text(part(part(product, "product"), "attributes"), "regionCode")
    if code is not None:
        return code
    location = required_text(product, *ATTRIBUTES, "location").replace("EU (", "Europe (")
    if (known := region_names().get(location)) is None:
        raise MalformedReply("/product/attributes/regionCode", f"missing, and no region is called {location[:40]!r}")
    return known


@cache
def region_names() -> Mapping[str, str]:
    """Return the region codes by the names botocore knows (`US East (N. Virginia)`); reads a file once."""
    partitions = Loader().load_data("endpoints")["partitions"]
    return {told["description"]: code for each in partitions for code, told in each["regions"].items()}


def _hourly(product: Raw) -> Raw:
    """Return the one on-demand price by the hour; raises MalformedReply if there is none, or a choice."""
    terms = parts(part(product, "terms"), "OnDemand")
    dimensions = [each for term in terms for each in parts(term, "priceDimensions")]
    hourly = [each for each in dimensions if optional_text(each, "unit") == HOURS]
    if len(hourly) != 1:
        raise MalformedReply("/terms/OnDemand", f"{len(hourly)} prices by the hour instead of one")
    return hourly[0]

"""The Spot Instance Advisor's public feed: how often each type was interrupted lately, by region."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import aiohttp
import msgspec
from msgspec import Struct

from spotd.aws.errors import AwsError, Call, Trouble, classify, trouble_of
from spotd.aws.replies import Raw, optional_int, part, rows
from spotd.model.market import AdvisorRate

HTTP_OK: Final = 200
LARGEST_FEED: Final = 64 * 1024 * 1024
"""Bytes; the feed has about 5 MB."""
TIMEOUT: Final = aiohttp.ClientTimeout(total=60, sock_connect=5, sock_read=15)
BANDS: Final = {(0, "<5%"), (1, "5-10%"), (2, "10-15%"), (3, "15-20%"), (4, ">20%")}
"""What the feed's `ranges` must say, for a band to mean what the optimizer takes it for."""
SYSTEMS: Final = {"Linux": "Linux/UNIX", "Windows": "Windows"}
HUNDRED: Final = 100
"""Percent; savings have a ceiling but no floor: Spot of a scarce type is at times dearer than on-demand."""
MOST_ODD: Final = 0.01
"""The share of odd rows above which the feed's shape counts as changed."""


class AdvisorFeed(Struct, frozen=True, kw_only=True):
    """What the feed says. When its shape is not the known one, `problem` says how, and no rate is taken from it."""

    rates: tuple[AdvisorRate, ...] = ()
    fetched_at: datetime
    problem: str | None = None

    @property
    def shape_ok(self) -> bool:
        """Whether the feed looks as it always did."""
        return self.problem is None


async def spot_advisor(http: aiohttp.ClientSession, url: str, *, now: datetime) -> AdvisorFeed:
    """Fetch and read the feed; raises AwsError when it cannot be fetched, never for what it says."""
    call = Call("public", url, "spot-advisor", "Fetch")
    try:
        async with http.get(url, timeout=TIMEOUT) as response:
            if response.status != HTTP_OK:
                code = f"HTTP{response.status}"
                raise AwsError(trouble_of(code, response.status), code, "no feed", call, status=response.status)
            body = await _bounded(response, call)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise classify(error, call) from error
    return await asyncio.to_thread(parse_advisor, body, now=now)


def parse_advisor(body: bytes, *, now: datetime) -> AdvisorFeed:
    """Read the feed's JSON; a shape that is not the known one gives no rates and says what is wrong."""
    try:
        feed = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        return AdvisorFeed(fetched_at=now, problem=f"not JSON: {error}")
    if not isinstance(feed, dict):
        return AdvisorFeed(fetched_at=now, problem="not an object")
    if (problem := _unknown_bands(feed)) is not None:
        return AdvisorFeed(fetched_at=now, problem=problem)
    return _read(feed, now)


async def _bounded(response: aiohttp.ClientResponse, call: Call) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > LARGEST_FEED:
            raise AwsError(Trouble.PERMANENT, "TooLarge", f"the feed is larger than {LARGEST_FEED} bytes", call)
    return bytes(body)


def _unknown_bands(feed: Raw) -> str | None:
    told = {(optional_int(row, "index"), str(row.get("label")).replace(" ", "")) for row in rows(feed, "ranges")}
    if told == BANDS:
        return None
    return "the interruption bands (`ranges`) are not the known five"


def _read(feed: Raw, now: datetime) -> AdvisorFeed:
    read = list(_rates(feed, now))
    rates = tuple(rate for rate in read if rate is not None)
    if not rates:
        return AdvisorFeed(fetched_at=now, problem="no rates (`spot_advisor`)")
    if len(read) - len(rates) > MOST_ODD * len(read):
        return AdvisorFeed(fetched_at=now, problem=f"{len(read) - len(rates)} of {len(read)} rows are not understood")
    return AdvisorFeed(rates=rates, fetched_at=now)


def _rates(feed: Raw, now: datetime) -> Iterator[AdvisorRate | None]:
    """Yield a rate for each row, None for one that is odd."""
    for region, systems in part(feed, "spot_advisor").items():
        for system, product in SYSTEMS.items():
            for instance_type, row in part(_mapping(systems), system).items():
                yield _rate(region, instance_type, product, _mapping(row), now)


def _rate(region: str, instance_type: str, product: str, row: Raw, now: datetime) -> AdvisorRate | None:
    band, savings = optional_int(row, "r"), optional_int(row, "s")
    if band is None or savings is None or not 0 <= band < len(BANDS) or savings > HUNDRED:
        return None
    return AdvisorRate(
        region=region,
        instance_type=instance_type,
        product=product,
        band=band,
        savings_percent=savings,
        observed_at=now,
    )


def _mapping(value: Any) -> Raw:
    return value if isinstance(value, dict) else {}

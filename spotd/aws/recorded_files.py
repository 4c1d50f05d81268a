"""What a recording's bytes hold: JSON, gzip of it, or a price history as CSV."""

import csv
import io
import re
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from spotd.aws.errors import MalformedReply
from spotd.aws.replies import Raw

MAX_BYTES: Final = 64 << 20
GZIP_MAGIC: Final = b"\x1f\x8b"
GZIP: Final = 31
"""zlib's window size for a gzip header."""

_ZONE_ID = re.compile(r"[a-z]{2,4}\d-az\d{1,2}", re.ASCII)

PRICE_COLUMNS: Final = {
    "instance_type": "InstanceType",
    "product": "ProductDescription",
    "usd_per_hour": "SpotPrice",
    "timestamp_utc": "Timestamp",
}


def decoded(document: object) -> Raw:
    """Return the JSON object a recording holds; raises MalformedReply. What is decoded already stays as it is."""
    if isinstance(document, bytes | bytearray):
        document = _inflated(bytes(document))
    if isinstance(document, bytes | str):
        document = _price_history(document) or _json(document)
    if not isinstance(document, Mapping):
        raise MalformedReply("", "not an object")
    return document


def _inflated(body: bytes) -> bytes:
    if not body.startswith(GZIP_MAGIC):
        return body
    unzip = zlib.decompressobj(wbits=GZIP)
    try:
        inflated = unzip.decompress(body, MAX_BYTES)
    except zlib.error as error:
        raise MalformedReply("", f"not gzip: {error}") from None
    if not unzip.eof:
        raise MalformedReply("", f"cut off, or more than {MAX_BYTES} bytes")
    return inflated


def _json(text: bytes | str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise MalformedReply("", f"not JSON: {error}") from None


def _price_history(body: bytes | str) -> Raw | None:
    """Return a price history's CSV as DescribeSpotPriceHistory would answer; None for anything else."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    if not text.startswith("region,az,"):
        return None
    try:
        rows = [_price(row) for row in csv.DictReader(io.StringIO(text))]
    except csv.Error as error:
        raise MalformedReply("", f"not CSV: {error}") from None
    return {"SpotPriceHistory": rows}


def _price(row: Mapping[str, Any]) -> Raw:
    """Return one row as AWS has it. A zone told by its id alone is named by it: ids are names enough for a pool."""
    zone = row.get("az") or None
    zone_id = zone if isinstance(zone, str) and _ZONE_ID.fullmatch(zone) else None
    price = {field: row.get(column) for column, field in PRICE_COLUMNS.items()}
    return price | {"Region": row.get("region"), "AvailabilityZone": zone, "AvailabilityZoneId": zone_id}

"""Recorded AWS answers, read by the converters the daemon uses live: what is understood, what is refused and why.

A recording is an operation's JSON answer, as the AWS CLI prints it or as placebo stores it (status and data apart,
datetimes as objects). Nothing here raises on any input.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from spotd.aws.errors import MalformedReply
from spotd.aws.instances import instance_from, instance_type_from
from spotd.aws.prices import on_demand_from, spot_price_from
from spotd.aws.recorded_fields import INSTANCE, INSTANCE_TYPE, SPOT_PRICE, Field, refused_fields
from spotd.aws.recorded_files import decoded
from spotd.aws.replies import Raw

MANAGED_TAG: Final = "spotd:managed=true"
HTTP_ERROR: Final = 400
MAX_DEPTH: Final = 64
NOT_USED: Final = "spotd does not use this operation's answer yet"

_ZONE = re.compile(r"([a-z]{2,4}(?:-[a-z]+)+-\d{1,2})[a-z]?", re.ASCII)
"""A zone's region; local and wavelength zones carry more behind it and are told by their first part."""


class Refusal(Struct, frozen=True, kw_only=True):
    """One field, row or answer that was not understood; `pointer` is its JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


class Report(Struct, frozen=True, kw_only=True):
    """What came of one recording: how many rows it has, those understood as the model has them, and the refusals."""

    operation: str
    rows: int
    understood: tuple[Mapping[str, Any], ...] = ()
    refused: tuple[Refusal, ...] = ()


class Row(Struct, frozen=True):
    """One row of an answer with its pointer and what the answer says around it."""

    pointer: str
    raw: Any
    owner: str | None = None
    at: datetime | None = None


class Reader(Struct, frozen=True):
    """How an operation's answer is taken apart, its rows converted, and which fields a row may have wrong."""

    rows: Callable[[Raw], Iterator[Row]]
    convert: Callable[[Row], Any]
    fields: tuple[Field, ...] = ()
    texts: bool = False
    """Whether a row may be JSON text, as in a price list."""


def parse_recorded(operation: str, document: object) -> Report:
    """Read a recorded answer (JSON text, gzip of it, a price history as CSV, or what JSON decodes to); never raises.

    `operation` may carry its service: `DescribeInstances`, `ec2.DescribeInstances` and `ec2:DescribeInstances` are one.
    """
    name = re.split(r"[.:]", operation)[-1]
    reader = READERS.get(name)
    if reader is None:
        return _refused_whole(name, Refusal(pointer="", detail=NOT_USED))
    try:
        return _report(name, reader, _unwrapped(decoded(document)))
    except MalformedReply as error:
        return _refused_whole(name, Refusal(pointer=error.pointer, detail=error.detail))


def _report(name: str, reader: Reader, answer: Raw) -> Report:
    count, understood, refused = 0, [], []
    for row in reader.rows(answer):
        count += 1
        try:
            understood.append(_converted(reader, row))
        except MalformedReply as error:
            refused.append(Refusal(pointer=row.pointer + error.pointer, detail=error.detail))
        else:
            odd = refused_fields(row.raw, reader.fields)
            refused.extend(Refusal(pointer=row.pointer + pointer, detail=detail) for pointer, detail in odd)
    return Report(operation=name, rows=count, understood=tuple(understood), refused=tuple(refused))


def _converted(reader: Reader, row: Row) -> Mapping[str, Any]:
    if not (isinstance(row.raw, Mapping) or (reader.texts and isinstance(row.raw, str))):
        raise MalformedReply("", "not an object")
    try:
        plain: Mapping[str, Any] = msgspec.to_builtins(reader.convert(row), order="deterministic")
    except (ValueError, OverflowError, RecursionError) as error:
        raise MalformedReply("", f"a number or time out of range: {error}") from None
    return plain


def _refused_whole(operation: str, refusal: Refusal) -> Report:
    return Report(operation=operation, rows=0, refused=(refusal,))


# --- recordings --------------------------------------------------------------


def _unwrapped(document: Raw) -> Raw:
    """Return the answer itself, out of placebo's envelope and with its datetimes as text."""
    answer = document
    if "status_code" in document and isinstance(document.get("data"), Mapping):
        answer = document["data"]
        status = document["status_code"]
        if not isinstance(status, int) or status >= HTTP_ERROR:
            raise MalformedReply("/status_code", f"the recording is of an error ({str(status)[:40]})")
    plain: Raw = _plain(answer, MAX_DEPTH)
    return plain


def _plain(value: Any, depth: int) -> Any:
    if depth == 0:
        raise MalformedReply("", f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, Mapping):
        if value.get("__class__") == "datetime":
            return _recorded_time(value)
        return {str(key): _plain(inner, depth - 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, depth - 1) for inner in value]
    return value


def _recorded_time(value: Raw) -> Any:
    """Return a recorded datetime as text; one that is none stays what it is, for its field to be refused."""
    names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
    try:
        return datetime(*(value.get(name, 0) for name in names), tzinfo=UTC).isoformat()  # type: ignore[misc]  # recorded, so untyped
    except (TypeError, ValueError, OverflowError):
        return dict(value)


# --- operations --------------------------------------------------------------


def _list(answer: Raw, field: str) -> list[Any]:
    value = answer.get(field)
    if not isinstance(value, list):
        raise MalformedReply(f"/{field}", "missing" if value is None else "not a list")
    return value


def _plain_rows(field: str) -> Callable[[Raw], Iterator[Row]]:
    def rows(answer: Raw) -> Iterator[Row]:
        for n, raw in enumerate(_list(answer, field)):
            yield Row(f"/{field}/{n}", raw)

    return rows


def _reserved(answer: Raw) -> Iterator[Row]:
    for n, reservation in enumerate(_list(answer, "Reservations")):
        pointer = f"/Reservations/{n}"
        if isinstance(reservation, Mapping) and isinstance(reservation.get("Instances"), list):
            yield from _launched(reservation, pointer)
        else:
            yield Row(pointer, None)


def _launched(reservation: Raw, pointer: str = "") -> Iterator[Row]:
    owner = reservation.get("OwnerId")
    for n, raw in enumerate(_list(reservation, "Instances")):
        yield Row(f"{pointer}/Instances/{n}", raw, owner=owner if isinstance(owner, str) else None)


def _products(answer: Raw) -> Iterator[Row]:
    """A recording holds the call's whole price list, or one product of it."""
    if "product" in answer:
        yield Row("", answer, at=_published(answer))
        return
    for n, raw in enumerate(_list(answer, "PriceList")):
        yield Row(f"/PriceList/{n}", raw, at=_published(raw))


def _published(product: object) -> datetime:
    """Return when a product's price was published; live, prices are those of the moment they are asked for."""
    if isinstance(product, str):
        try:
            product = msgspec.json.decode(product)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            product = None
    text = product.get("publicationDate") if isinstance(product, Mapping) else None
    try:
        return msgspec.convert(text, datetime).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


def _instance(row: Row) -> Any:
    placement = row.raw.get("Placement")
    zone = placement.get("AvailabilityZone") if isinstance(placement, Mapping) else None
    region = _region(zone, "/Placement/AvailabilityZone")
    if row.owner is None:
        raise MalformedReply("", "its reservation names no owner (OwnerId)")
    return instance_from(row.raw, account_id=row.owner, region=region, managed_tag=MANAGED_TAG)


def _spot_price(row: Row) -> Any:
    region = row.raw.get("Region")
    if not isinstance(region, str) or not region:
        region = _region(row.raw.get("AvailabilityZone"), "/AvailabilityZone")
    return spot_price_from(row.raw, region)


def _on_demand(row: Row) -> Any:
    return on_demand_from(row.raw, observed_at=row.at or datetime.fromtimestamp(0, UTC))


def _region(zone: object, pointer: str) -> str:
    """Return a zone's region: live it is the one asked, a recording only tells the zone."""
    match = _ZONE.match(zone) if isinstance(zone, str) else None
    if match is None:
        raise MalformedReply(pointer, "missing" if zone is None else "no zone of a region")
    return match[1]


READERS: Mapping[str, Reader] = {
    "DescribeInstances": Reader(_reserved, _instance, INSTANCE),
    "RunInstances": Reader(_launched, _instance, INSTANCE),
    "DescribeInstanceTypes": Reader(
        _plain_rows("InstanceTypes"), lambda row: instance_type_from(row.raw), INSTANCE_TYPE
    ),
    "DescribeSpotPriceHistory": Reader(_plain_rows("SpotPriceHistory"), _spot_price, SPOT_PRICE),
    "GetProducts": Reader(_products, _on_demand, texts=True),
}
"""The operations whose answers have a home in the model."""

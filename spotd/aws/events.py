"""EventBridge JSON to `Event`: what a message is, or why it is not used.

Messages are dispatched on (source, detail-type), never on `version`. The fields come from the EventBridge reference for
Amazon EC2 (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/automating_with_eventbridge.html). Nothing here raises
on any input: what cannot be understood is quarantined with the pointer of the field that is wrong.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from spotd.model.event import Event, Kind, Outcome, Verdict
from spotd.model.instance import State

MAX_BYTES = 1 << 20
"""The largest SQS message, and so the largest body read."""

MAX_DEPTH = 32
MAX_ENVELOPES = 2
"""How many SNS envelopes may lie around an event."""

ACTIONS = frozenset({"terminate", "stop", "hibernate"})
STATES = frozenset(State)

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?", re.ASCII)
_ACCOUNT_ID = re.compile(r"\d{12}", re.ASCII)
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]+)+-\d{1,2}", re.ASCII)
_EVENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


class Malformed(ValueError):
    """A field of a known kind is missing or wrong; `pointer` is its JSON pointer."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.pointer = pointer


class Message(NamedTuple):
    """One event of a body: what it was understood as, and its own JSON as the inbox keeps it."""

    verdict: Verdict
    body: str


class Facts(NamedTuple):
    """What one kind reads from `detail`."""

    instance_ids: tuple[str, ...] = ()
    action: str | None = None
    state: str | None = None


@dataclass(frozen=True)
class Parser:
    """How one (source, detail-type) is read, and how long after its own time it is of use (None: always)."""

    kind: str
    read: Callable[[Mapping[str, Any]], Facts]
    use: timedelta | None


def _interruption(detail: Mapping[str, Any]) -> Facts:
    action = _choice(detail, "instance-action", ACTIONS)
    return Facts(instance_ids=(_instance_id(detail),), action=action)


def _rebalance(detail: Mapping[str, Any]) -> Facts:
    return Facts(instance_ids=(_instance_id(detail),))


def _state_change(detail: Mapping[str, Any]) -> Facts:
    return Facts(instance_ids=(_instance_id(detail),), state=_choice(detail, "state", STATES))


def _own(_detail: Mapping[str, Any]) -> Facts:
    return Facts()


REGISTRY: Mapping[tuple[str, str], Parser] = {
    ("aws.ec2", "EC2 Spot Instance Interruption Warning"): Parser(
        Kind.INTERRUPTION, _interruption, timedelta(minutes=2)
    ),
    ("aws.ec2", "EC2 Instance Rebalance Recommendation"): Parser(Kind.REBALANCE, _rebalance, timedelta(minutes=15)),
    ("aws.ec2", "EC2 Instance State-change Notification"): Parser(Kind.STATE_CHANGE, _state_change, timedelta(hours=1)),
    ("spotd", "spotd.canary"): Parser("spotd.canary", _own, timedelta(minutes=15)),
    ("spotd", "account.status"): Parser("account.status", _own, None),
    ("spotd", "discovery.completed"): Parser("discovery.completed", _own, None),
    ("spotd", "health.transition"): Parser("health.transition", _own, None),
}
"""Every message spotd understands; a pair that is not here is `unknown`."""


def parse(raw: object, *, now: datetime | None = None) -> tuple[Verdict, ...]:
    """Say of each event in a body what it is; never raises.

    `raw` is JSON (bytes or text) or what JSON decodes to: one event, an array of them, or an SNS envelope around
    either. With `now` a known event older than its use is `stale`; without it none is.
    """
    return tuple(message.verdict for message in read(raw, now=now))


def read(raw: object, *, now: datetime | None = None) -> tuple[Message, ...]:
    """Like `parse`, each verdict with the event's own JSON text."""
    try:
        document = _decoded(raw)
    except Malformed as error:
        text = _text(raw)
        return (Message(_quarantined(str(error), text), text),)
    return tuple(_message(item, now) for item in _events(document, MAX_ENVELOPES))


def _message(item: object, now: datetime | None) -> Message:
    body = _text(item)
    try:
        return Message(_verdict(item, body, now), body)
    except Malformed as error:
        return Message(_quarantined(str(error), body, _parser(item)), body)


def _verdict(item: object, body: str, now: datetime | None) -> Verdict:
    if not isinstance(item, Mapping):
        raise Malformed("", "an event is a JSON object")
    source, detail_type = (_string(item, field) for field in ("source", "detail-type"))
    parser = REGISTRY.get((source, detail_type))
    if parser is None:
        return _unknown(item, body)
    event = _event(item, parser)
    if now is not None and parser.use is not None and event.time is not None and now - event.time > parser.use:
        age = round((now - event.time).total_seconds())
        return _of(event, Outcome.STALE, f"{age} s old; of use for {parser.use.total_seconds():.0f} s")
    nameless = event.account_id is None and source != "spotd"
    return _of(event, Outcome.ACCEPTED, "the event names no account; not acted on" if nameless else None)


def _event(item: Mapping[str, Any], parser: Parser) -> Event:
    """Read a known kind; raises Malformed."""
    detail = item.get("detail")
    if not isinstance(detail, Mapping):
        raise Malformed("/detail", "missing" if detail is None else "not an object")
    event_id = _matching(item, "id", _EVENT_ID, "an id of 1 to 128 printable characters")
    facts = parser.read(detail)
    return Event(
        key="/".join((event_id, *facts.instance_ids)),
        kind=parser.kind,
        source=item["source"],
        detail_type=item["detail-type"],
        account_id=_optional(item, "account", _ACCOUNT_ID, "12 digits"),
        region=_optional(item, "region", _REGION, "a region's name"),
        instance_ids=facts.instance_ids,
        time=_time(item),
        action=facts.action,
        state=facts.state,
        body=item,
    )


def _unknown(item: Mapping[str, Any], body: str) -> Verdict:
    """Keep what no parser reads, with whatever of its envelope is well formed."""
    event_id = item.get("id")
    key = event_id if isinstance(event_id, str) and _EVENT_ID.fullmatch(event_id) else _digest(body)
    event = Event(
        key=key,
        kind="unknown",
        source=_plain(item["source"]),
        detail_type=_plain(item["detail-type"]),
        account_id=_lenient(item, "account", _ACCOUNT_ID),
        region=_lenient(item, "region", _REGION),
        time=_lenient_time(item),
        body=item,
    )
    reason = f"no parser for {event.source!r}, {event.detail_type!r}"
    return Verdict(outcome=Outcome.UNKNOWN, key=key, reason=reason, event=event)


def _of(event: Event, outcome: Outcome, reason: str | None) -> Verdict:
    return Verdict(
        outcome=outcome,
        key=event.key,
        kind=event.kind,
        instance_ids=event.instance_ids,
        reason=reason,
        event=event,
    )


def _quarantined(reason: str, body: str, parser: Parser | None = None) -> Verdict:
    """Refuse a body; its key is its digest, so that the same poison is kept once."""
    kind = parser.kind if parser else None
    return Verdict(outcome=Outcome.QUARANTINED, key=_digest(body), kind=kind, reason=reason)


def _parser(item: object) -> Parser | None:
    if not isinstance(item, Mapping):
        return None
    source, detail_type = item.get("source"), item.get("detail-type")
    if not (isinstance(source, str) and isinstance(detail_type, str)):
        return None
    return REGISTRY.get((source, detail_type))


# --- bodies ------------------------------------------------------------------


def _events(document: object, envelopes: int) -> Iterator[object]:
    """Take arrays and SNS envelopes apart; what is inside an envelope that is no JSON is told as it stands."""
    if isinstance(document, list | tuple):
        for item in document:
            yield from (item,) if isinstance(item, list | tuple) else _events(item, envelopes)
        return
    inner = _enveloped(document) if envelopes else None
    if inner is None:
        yield document
    else:
        yield from _events(inner, envelopes - 1)


def _enveloped(document: object) -> object | None:
    """Return what an SNS envelope carries: an object without a source of its own whose `Message` is JSON text."""
    if not isinstance(document, Mapping) or "source" in document or not isinstance(document.get("Message"), str):
        return None
    try:
        inner = _decoded(document["Message"])
    except Malformed:
        return None
    return inner if isinstance(inner, Mapping | list) else None


def _decoded(raw: object) -> object:
    """Decode JSON text within the limits; what is decoded already is only held to the limits."""
    document = raw
    if isinstance(raw, bytes | bytearray | memoryview | str):
        if _size(raw) > MAX_BYTES:
            raise Malformed("", f"more than {MAX_BYTES} bytes")
        try:
            document = msgspec.json.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise Malformed("", f"not JSON: {error}") from None
    if _too_deep(document):
        raise Malformed("", f"nested deeper than {MAX_DEPTH}")
    return document


def _size(raw: bytes | bytearray | memoryview | str) -> int:
    return len(raw.encode(errors="replace")) if isinstance(raw, str) else len(raw)


def _too_deep(document: object) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return False
    return True


def _children(item: object) -> tuple[object, ...]:
    if isinstance(item, Mapping):
        return tuple(item.values())
    return tuple(item) if isinstance(item, list | tuple) else ()


def _text(item: object) -> str:
    """Return JSON text for the inbox, or as much of an unreadable body as can be written down."""
    if isinstance(item, str):
        return _plain(item, MAX_BYTES)
    if isinstance(item, bytes | bytearray | memoryview):
        return _plain(bytes(item[:MAX_BYTES]).decode(errors="replace"), MAX_BYTES)
    try:
        return msgspec.json.encode(item, order="sorted").decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return _plain(repr(type(item)))


def _digest(body: str) -> str:
    return "body:" + blake2b(body.encode(errors="replace"), digest_size=16).hexdigest()


def _plain(text: str, limit: int = 256) -> str:
    """Return text any database takes: without NUL and lone surrogates, and not too long."""
    return text[:limit].replace("\0", "\ufffd").encode(errors="replace").decode()


# --- fields ------------------------------------------------------------------


def _string(item: Mapping[str, Any], field: str) -> str:
    value = item.get(field)
    if not isinstance(value, str):
        raise Malformed(f"/{field}", "missing" if value is None else "not a string")
    return value


def _matching(item: Mapping[str, Any], field: str, pattern: re.Pattern[str], wanted: str, *, under: str = "") -> str:
    value, pointer = item.get(field), f"{under}/{field}"
    if value is None or value == "":
        raise Malformed(pointer, "missing" if value is None else "empty")
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Malformed(pointer, f"{_shown(value)} is not {wanted}")
    return value


def _optional(item: Mapping[str, Any], field: str, pattern: re.Pattern[str], wanted: str) -> str | None:
    return _matching(item, field, pattern, wanted) if item.get(field) not in (None, "") else None


def _lenient(item: Mapping[str, Any], field: str, pattern: re.Pattern[str]) -> str | None:
    value = item.get(field)
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _instance_id(detail: Mapping[str, Any]) -> str:
    return _matching(detail, "instance-id", _INSTANCE_ID, "an instance id", under="/detail")


def _choice(detail: Mapping[str, Any], field: str, allowed: frozenset[str]) -> str:
    value, pointer = detail.get(field), f"/detail/{field}"
    if value is None or value == "":
        raise Malformed(pointer, "missing" if value is None else "empty")
    if not isinstance(value, str) or value not in allowed:
        raise Malformed(pointer, f"{_shown(value)} is none of {', '.join(sorted(allowed))}")
    return str(value)


def _time(item: Mapping[str, Any]) -> datetime:
    value = _matching(item, "time", _TIME, "an RFC 3339 time")
    try:
        return msgspec.convert(value, datetime).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError, ValueError):
        raise Malformed("/time", f"{_shown(value)} is not an RFC 3339 time") from None


def _lenient_time(item: Mapping[str, Any]) -> datetime | None:
    try:
        return _time(item)
    except Malformed:
        return None


def _shown(value: object) -> str:
    return _plain(repr(value)[:80])

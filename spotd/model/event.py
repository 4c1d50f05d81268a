"""Events as the inbox keeps them, whatever way they came."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct


class Outcome(StrEnum):
    """What became of a received message; see the API's `POST /events`."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    UNKNOWN = "unknown"
    QUARANTINED = "quarantined"
    STALE = "stale"


class Kind(StrEnum):
    """The events spotd understands so far."""

    INTERRUPTION = "interruption"
    REBALANCE = "rebalance"
    STATE_CHANGE = "state_change"


class Event(Struct, frozen=True, kw_only=True):
    """One understood message. `key` is unique: the event's id and its instances.

    `time` is the event's own (None where the body carries no valid one); `action` is the interruption's
    `instance-action`, `state` the state change's new state.
    """

    key: str
    kind: str
    source: str
    detail_type: str
    account_id: str | None
    region: str | None
    instance_ids: tuple[str, ...] = ()
    time: datetime | None = None
    action: str | None = None
    state: str | None = None
    body: Mapping[str, Any] = {}


class Verdict(Struct, frozen=True, kw_only=True):
    """How a raw message was understood: its outcome, the event if there is one, the reason if not accepted."""

    outcome: Outcome
    key: str | None = None
    kind: str | None = None
    instance_ids: tuple[str, ...] = ()
    reason: str | None = None
    event: Event | None = None

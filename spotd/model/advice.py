"""Recommendations and refusals: one type, because a refusal is advice too."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Decision(StrEnum):
    """What the optimizer says about one instance."""

    RECOMMENDED = "recommended"
    REFUSED = "refused"


class Reason(Struct, frozen=True, kw_only=True):
    """One rule with the value it saw: the number, its limit, where it came from and how old it was."""

    rule: str
    value: str | int | float | bool | None
    threshold: str | int | float | bool | None = None
    source: str
    age_seconds: float | None = None


class Placement(Struct, frozen=True, kw_only=True):
    """Where capacity runs: pool and price per hour."""

    instance_type: str
    availability_zone: str | None
    lifecycle: str
    micros_per_hour: int | None = None


class Advice(Struct, frozen=True, kw_only=True):
    """What the engine decided about one instance, before it is stored.

    `digest` is a hash of everything the advice rests on, so equal inputs give an equal digest.
    """

    kind: str
    account_id: str
    instance_ids: tuple[str, ...]
    source: Placement
    target: Placement | None
    saving_micros_per_hour: int | None
    saving_micros_per_month: int | None
    verdict: Decision
    reasons: tuple[Reason, ...]
    digest: str


class Recommendation(Struct, frozen=True, kw_only=True):
    """A stored piece of advice with its life: `state` is open, superseded or expired."""

    id: int
    advice: Advice
    state: str
    created_at: datetime
    expires_at: datetime

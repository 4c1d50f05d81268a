"""What answers carry, as types; OpenAPI publishes them and the views fill them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct, field

from spotd.model.account import ConnectionMethod, Status
from spotd.model.advice import Decision, Placement, Reason
from spotd.model.event import Outcome
from spotd.model.health import ComponentHealth, ComponentState
from spotd.model.instance import Lifecycle, State

T = TypeVar("T")


class Listing(Struct, Generic[T], frozen=True, kw_only=True):
    """One page of a list; `next_cursor` is null on the last."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class ConditionView(Struct, frozen=True, kw_only=True):
    """One nuance of an account; see the model's `Condition`."""

    type: str
    status: bool
    reason: str
    message: str
    observed_at: datetime


class AccountView(Struct, frozen=True, kw_only=True):
    """One onboarded account."""

    id: int
    account_id: str
    name: str
    status: Status
    connection_method: ConnectionMethod | None
    role_arn: str | None
    external_id: str | None
    regions: tuple[str, ...]
    conditions: tuple[ConditionView, ...]
    metadata: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime


class PolicyDocuments(Struct, frozen=True, kw_only=True):
    """What an account's owner creates the role from: policies as JSON, and the whole as two templates."""

    trust: Mapping[str, Any]
    permissions: Mapping[str, Any]
    cloudformation: str
    terraform: str


class CreatedAccount(Struct, frozen=True, kw_only=True):
    """A new pending account with what its owner needs next; `policies` is null while the daemon has no AWS identity."""

    id: int
    account_id: str
    external_id: str | None
    status: Status
    policies: PolicyDocuments | None


class Connected(Struct, frozen=True, kw_only=True):
    """The account is connected; its discovery runs in the background."""

    status: Literal["connected"] = "connected"


class VerificationView(Struct, frozen=True, kw_only=True):
    """What proving the stored credentials came to."""

    valid: bool
    reason: str
    message: str


class Started(Struct, frozen=True, kw_only=True):
    """The work was started and goes on in the background."""

    status: Literal["accepted"] = "accepted"


class InstanceView(Struct, frozen=True, kw_only=True):
    """One instance; `stale_seconds` is the age of its scope's last complete pass, null before the first."""

    instance_id: str
    account_id: str
    region: str
    availability_zone: str | None
    az_id: str | None
    instance_type: str
    lifecycle: Lifecycle
    state: State
    launched_at: datetime | None
    asg_name: str | None
    cluster: str | None
    managed: bool
    tags: Mapping[str, str]
    load_balancers: tuple[str, ...]
    first_seen_at: datetime
    changed_at: datetime
    terminated_at: datetime | None
    stale_seconds: float | None


class Counts(Struct, frozen=True, kw_only=True):
    """How many of what."""

    accounts: int
    instances: int
    by_state: Mapping[State, int]
    by_lifecycle: Mapping[Lifecycle, int]


class Age(Struct, frozen=True, kw_only=True):
    """How old a figure is, or why there is none."""

    age_seconds: float | None
    reason: str | None


class Overview(Struct, frozen=True, kw_only=True):
    """The fleet in figures; what is not known yet is null, with its reason in `ages`."""

    counts: Counts
    cost_micros_per_hour: int | None
    cost_micros_per_month: int | None
    cpu_percent: float | None
    ages: Mapping[str, Age]


class HealthView(Struct, frozen=True, kw_only=True):
    """The worst status of what is enabled, and every component."""

    status: ComponentState
    components: Mapping[str, ComponentHealth]


class HealthzView(Struct, frozen=True, kw_only=True):
    """The same in the words of the health+json draft."""

    status: Literal["pass", "warn", "fail"]
    state: ComponentState
    version: str
    components: Mapping[str, ComponentHealth]
    loops: Mapping[str, "LoopView"]
    breakers: tuple[str, ...]


class LoopView(Struct, frozen=True, kw_only=True):
    """One loop's pulse; ages in seconds, null for never."""

    last_started_seconds: float | None
    last_ok_seconds: float | None
    failures: int
    last_error: str | None


class Probe(Struct, frozen=True, kw_only=True):
    """Whether the daemon lives, or is ready; `reasons` say why not."""

    status: Literal["ok", "unavailable"]
    reasons: tuple[str, ...] = ()


class TransitionView(Struct, frozen=True, kw_only=True):
    """One change of a component's status."""

    component: str
    before: ComponentState
    after: ComponentState
    at: datetime
    details: Mapping[str, Any]


class PriceView(Struct, frozen=True, kw_only=True):
    """What one pool costs per hour; null where nothing is known, never zero."""

    region: str
    az: str | None
    az_id: str | None
    instance_type: str
    product: str
    spot_micros: int | None
    on_demand_micros: int | None
    source: str
    observed_at: datetime


class EventView(Struct, frozen=True, kw_only=True):
    """One message of the inbox."""

    key: str
    kind: str
    outcome: Outcome
    instance_ids: tuple[str, ...]
    account_id: str | None
    region: str | None
    time: datetime | None
    received_at: datetime
    processed_at: datetime | None
    reason: str | None
    result: str | None


class QuarantineView(Struct, frozen=True, kw_only=True):
    """One message nobody understood, with why, and how often it came."""

    id: int
    key: str
    kind: str | None
    reason: str
    source: str
    received_at: datetime
    times: int
    body: str


class EventResult(Struct, frozen=True, kw_only=True):
    """What became of one posted event."""

    key: str | None
    outcome: Outcome
    kind: str | None
    instance_ids: tuple[str, ...]
    reason: str | None


class EventResults(Struct, frozen=True, kw_only=True):
    """What became of each posted event, in order."""

    results: tuple[EventResult, ...]


class RecommendationView(Struct, frozen=True, kw_only=True):
    """One recommendation, or refusal, with its reasons."""

    id: int
    kind: str
    account_id: str
    instance_ids: tuple[str, ...]
    source: Placement = field(name="from")
    target: Placement | None = field(name="to")
    saving_micros_per_hour: int | None
    saving_micros_per_month: int | None
    verdict: Decision
    reasons: tuple[Reason, ...]
    digest: str
    state: str
    created_at: datetime
    expires_at: datetime


class TokenView(Struct, frozen=True, kw_only=True):
    """One token, without its secret."""

    id: int
    name: str
    scopes: tuple[str, ...]
    account_id: str | None
    created_at: datetime
    expires_at: datetime | None


class CreatedToken(TokenView, frozen=True, kw_only=True):
    """A new token; `token` is shown this once."""

    token: str


class Ticket(Struct, frozen=True, kw_only=True):
    """Stands in for a token once, within half a minute, where a browser cannot send a header."""

    ticket: str
    expires_in_seconds: int

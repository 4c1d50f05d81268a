"""From what the daemon knows to what the API answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from spotd.api.services import Policies, Pulse
from spotd.api.wire import (
    AccountView,
    ConditionView,
    EventResult,
    EventView,
    HealthView,
    HealthzView,
    InstanceView,
    LoopView,
    PolicyDocuments,
    PriceView,
    QuarantineView,
    RecommendationView,
    TransitionView,
)
from spotd.model.account import Account
from spotd.model.advice import Recommendation
from spotd.model.event import Verdict
from spotd.model.health import ComponentHealth, ComponentState
from spotd.model.instance import StoredInstance
from spotd.store.health import Transition
from spotd.store.inbox import Quarantined, StoredEvent
from spotd.store.market import Price

VERDICTS: Mapping[ComponentState, Literal["pass", "warn", "fail"]] = {
    ComponentState.HEALTHY: "pass",
    ComponentState.DEGRADED: "warn",
    ComponentState.CRITICAL: "fail",
}


def account(found: Account) -> AccountView:
    """Return what is shown of an account."""
    return AccountView(
        id=found.id,
        account_id=found.account_id,
        name=found.name,
        status=found.status,
        connection_method=found.connection_method,
        role_arn=found.role_arn,
        external_id=found.external_id,
        regions=found.regions,
        conditions=tuple(
            ConditionView(type=c.type, status=c.status, reason=c.reason, message=c.message, observed_at=c.observed_at)
            for c in found.conditions
        ),
        metadata=found.metadata,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def policies(documents: Policies) -> PolicyDocuments:
    """Return the documents as they are handed out."""
    return PolicyDocuments(
        trust=documents.trust,
        permissions=documents.permissions,
        cloudformation=documents.cloudformation,
        terraform=documents.terraform,
    )


def instance(stored: StoredInstance, now: datetime) -> InstanceView:
    """Return what is shown of an instance, with the age of what is known of it."""
    seen, completed = stored.instance, stored.scope_completed_at
    return InstanceView(
        instance_id=seen.instance_id,
        account_id=seen.account_id,
        region=seen.region,
        availability_zone=seen.availability_zone,
        az_id=seen.az_id,
        instance_type=seen.instance_type,
        lifecycle=seen.lifecycle,
        state=seen.state,
        launched_at=seen.launched_at,
        asg_name=seen.asg_name,
        cluster=seen.cluster,
        managed=seen.managed,
        tags=seen.tags,
        load_balancers=stored.load_balancers,
        first_seen_at=stored.first_seen_at,
        changed_at=stored.changed_at,
        terminated_at=stored.terminated_at,
        stale_seconds=None if completed is None else max(0.0, (now - completed).total_seconds()),
    )


def worst(components: Mapping[str, ComponentHealth]) -> ComponentState:
    """Return the worst status of what is enabled."""
    enabled = [part.status for part in components.values() if part.enabled]
    return max(enabled, key=lambda status: status.severity, default=ComponentState.HEALTHY)


def transition(stored: Transition) -> TransitionView:
    """Return one change of health."""
    return TransitionView(
        component=stored.component, before=stored.before, after=stored.after, at=stored.at, details=stored.details
    )


def health(components: Mapping[str, ComponentHealth]) -> HealthView:
    """Return the health document."""
    return HealthView(status=worst(components), components=components)


def healthz(
    components: Mapping[str, ComponentHealth],
    pulses: Mapping[str, Pulse],
    breakers: tuple[str, ...],
    *,
    now: float,
    version: str,
) -> HealthzView:
    """Return the full document; `now` is loop time."""
    state = worst(components)
    return HealthzView(
        status=VERDICTS[state],
        state=state,
        version=version,
        components=components,
        loops={name: _loop(pulse, now) for name, pulse in pulses.items()},
        breakers=breakers,
    )


def _loop(pulse: Pulse, now: float) -> LoopView:
    return LoopView(
        last_started_seconds=None if pulse.started is None else now - pulse.started,
        last_ok_seconds=None if pulse.last_ok is None else now - pulse.last_ok,
        failures=pulse.failures,
        last_error=pulse.last_error,
    )


def event_result(verdict: Verdict) -> EventResult:
    """Return what became of a posted event."""
    return EventResult(
        key=verdict.key,
        outcome=verdict.outcome,
        kind=verdict.kind,
        instance_ids=verdict.instance_ids,
        reason=verdict.reason,
    )


def event(stored: StoredEvent) -> EventView:
    """Return what is shown of a message of the inbox."""
    return EventView(
        key=stored.event.key,
        kind=stored.event.kind,
        outcome=stored.outcome,
        instance_ids=stored.event.instance_ids,
        account_id=stored.event.account_id,
        region=stored.event.region,
        time=stored.event.time,
        received_at=stored.received_at,
        processed_at=stored.processed_at,
        reason=stored.reason,
        result=stored.result,
    )


def quarantined(stored: Quarantined) -> QuarantineView:
    """Return what is shown of a message that nobody understood."""
    return QuarantineView(
        id=stored.id,
        key=stored.key,
        kind=stored.kind,
        reason=stored.reason,
        source=stored.source,
        received_at=stored.received_at,
        times=stored.times,
        body=stored.body,
    )


def price(found: Price) -> PriceView:
    """Return what is shown of a pool's price."""
    return PriceView(
        region=found.region,
        az=found.az,
        az_id=found.az_id,
        instance_type=found.instance_type,
        product=found.product,
        spot_micros=found.spot_micros,
        on_demand_micros=found.on_demand_micros,
        source=found.source,
        observed_at=found.observed_at,
    )


def recommendation(stored: Recommendation) -> RecommendationView:
    """Return a recommendation with its life."""
    advice = stored.advice
    return RecommendationView(
        id=stored.id,
        kind=advice.kind,
        account_id=advice.account_id,
        instance_ids=advice.instance_ids,
        source=advice.source,
        target=advice.target,
        saving_micros_per_hour=advice.saving_micros_per_hour,
        saving_micros_per_month=advice.saving_micros_per_month,
        verdict=advice.verdict,
        reasons=advice.reasons,
        digest=advice.digest,
        state=stored.state,
        created_at=stored.created_at,
        expires_at=stored.expires_at,
    )

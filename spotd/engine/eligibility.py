"""Whether an instance may be moved at all: each rule that says no, with the value it saw."""

from collections.abc import Iterator
from datetime import datetime

from spotd.engine.policy import Policy
from spotd.model.advice import Reason
from spotd.model.instance import InstanceType, Lifecycle, State, StoredInstance

INVENTORY = "ec2:DescribeInstances"
TYPE_FACTS = "ec2:DescribeInstanceTypes"


def is_considered(stored: StoredInstance) -> bool:
    """Whether there is anything to advise: a live instance bought on demand."""
    instance = stored.instance
    return instance.lifecycle is Lifecycle.ON_DEMAND and instance.state not in {State.SHUTTING_DOWN, State.TERMINATED}


def pipeline_of(stored: StoredInstance) -> str:
    """Return how this instance would be moved: with its cluster, with its group, or alone."""
    if stored.instance.cluster is not None:
        return "kubernetes"
    return "single" if stored.instance.asg_name is None else "group"


def objections(stored: StoredInstance, own: InstanceType | None, policy: Policy, now: datetime) -> tuple[Reason, ...]:
    """Return every reason not to move this instance, whatever the market offers. `own` is its type, if known."""
    age = age_of(stored.scope_completed_at, now)
    return (*_owner(stored, policy, age), *_shape(stored, own, age), *_freshness(stored, policy, age))


def _owner(stored: StoredInstance, policy: Policy, age: float | None) -> Iterator[Reason]:
    instance = stored.instance
    if policy.require_opt_in and not instance.managed:
        yield _seen("managed", value=False, wanted=True, age=age)
    if instance.asg_name is not None:
        yield _seen("auto_scaling_group", value=instance.asg_name, wanted=None, age=age)
    if instance.cluster is not None:
        yield _seen("cluster", value=instance.cluster, wanted=None, age=age)


def _shape(stored: StoredInstance, own: InstanceType | None, age: float | None) -> Iterator[Reason]:
    instance = stored.instance
    if instance.state is not State.RUNNING:
        yield _seen("state", value=instance.state.value, wanted=State.RUNNING.value, age=age)
    if instance.tenancy != "default":
        yield _seen("tenancy", value=instance.tenancy, wanted="default", age=age)
    if instance.availability_zone is None:
        yield _seen("availability_zone", value=None, wanted="known", age=age)
    if instance.root_device == "instance-store":
        yield _seen("root_device", value=instance.root_device, wanted="ebs", age=age)
    if own is None:
        yield Reason(rule="instance_type", value=instance.instance_type, threshold="known", source=TYPE_FACTS)
    elif own.storage_gb > 0:
        yield Reason(rule="instance_store_gb", value=own.storage_gb, threshold=0, source=TYPE_FACTS)


def _freshness(stored: StoredInstance, policy: Policy, age: float | None) -> Iterator[Reason]:
    reason = stale("inventory_age", INVENTORY, stored.scope_completed_at, age, policy.inventory_max_age)
    if reason is not None:
        yield reason


def stale(rule: str, source: str, at: datetime | None, age: float | None, limit: float) -> Reason | None:
    """Return the reason that a source is unknown or older than its limit (seconds); None while it is fresh.

    The reason's value is the time itself, so that it stays the same from one tick to the next.
    """
    if age is not None and age <= limit:
        return None
    value = None if at is None else at.isoformat()
    return Reason(rule=rule, value=value, threshold=limit, source=source, age_seconds=age)


def age_of(at: datetime | None, now: datetime) -> float | None:
    """Return seconds since a moment, not below 0; None if it never was."""
    return None if at is None else max(0.0, (now - at).total_seconds())


def _seen(rule: str, *, value: str | bool | None, wanted: str | bool | None, age: float | None) -> Reason:
    return Reason(rule=rule, value=value, threshold=wanted, source=INVENTORY, age_seconds=age)

"""Whether an instance would run on another type as it runs on its own; unknown facts count as no."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from spotd.model.instance import Instance, InstanceType

MAX_SIZE_FACTOR = 4
"""Types with more than this many times the vCPUs or memory are not looked at: they are not cheaper."""


class Need(NamedTuple):
    """What one instance asks of a type: its own type, and what its image was seen to run with."""

    own: InstanceType
    architecture: str | None
    virtualization: str | None
    ena: bool


Rule = Callable[[Need, InstanceType], bool]


def _network(need: Need, other: InstanceType) -> bool:
    mine, theirs = need.own.network_mbps, other.network_mbps
    return mine is not None and theirs is not None and theirs >= mine


def _gpu(need: Need, other: InstanceType) -> bool:
    mine = need.own
    same = (mine.gpus, mine.gpu_name, mine.accelerators) == (other.gpus, other.gpu_name, other.accelerators)
    return same and other.gpu_memory_mib >= mine.gpu_memory_mib


def _ena(need: Need, other: InstanceType) -> bool:
    """An image without the ENA driver does not boot where it is required; one that uses it is not given less."""
    return other.ena != "unsupported" if need.ena else other.ena != "required"


def _hypervisor(need: Need, other: InstanceType) -> bool:
    """Metal has no hypervisor; for all else none means unknown."""
    return other.hypervisor == need.own.hypervisor and (other.bare_metal or other.hypervisor is not None)


def _size(need: Need, other: InstanceType) -> bool:
    return other.vcpus <= MAX_SIZE_FACTOR * need.own.vcpus and other.memory_mib <= MAX_SIZE_FACTOR * need.own.memory_mib


ANY_TYPE: tuple[tuple[str, Rule], ...] = (
    ("usage_class", lambda _, other: "spot" in other.usage_classes),
    ("architecture", lambda need, other: need.architecture in other.architectures),
    ("virtualization", lambda need, other: need.virtualization in other.virtualization),
)
"""What must hold even for the instance's own type."""

OTHER_TYPE: tuple[tuple[str, Rule], ...] = (
    ("vcpus", lambda need, other: other.vcpus >= need.own.vcpus),
    ("memory", lambda need, other: other.memory_mib >= need.own.memory_mib),
    ("size", _size),
    ("generation", lambda _, other: other.current_generation),
    ("burstable", lambda _, other: not other.burstable),
    ("gpu", _gpu),
    ("storage", lambda need, other: other.storage_gb >= need.own.storage_gb),
    ("network", _network),
    ("ena", _ena),
    ("bare_metal", lambda need, other: other.bare_metal == need.own.bare_metal),
    ("hypervisor", _hypervisor),
)
"""What must hold for another type. Credits do not travel, so no other burstable type; another hypervisor wants
drivers that nobody can see from outside (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/resize-limitations.html).
"""


def need_of(instance: Instance, own: InstanceType) -> Need:
    """Return what an instance needs; what AWS left out is taken from its type where that leaves no choice."""
    return Need(
        own=own,
        architecture=instance.architecture or _only(own.architectures),
        virtualization=instance.virtualization or _only(own.virtualization),
        ena=bool(instance.ena),
    )


def incompatibility(need: Need, other: InstanceType) -> str | None:
    """Return the first rule that `other` breaks, None if it can stand in."""
    rules = ANY_TYPE if other.name == need.own.name else ANY_TYPE + OTHER_TYPE
    return next((name for name, holds in rules if not holds(need, other)), None)


def compatible(need: Need, types: Iterable[InstanceType]) -> tuple[InstanceType, ...]:
    """Return the types that can stand in, by name."""
    return tuple(sorted((other for other in types if incompatibility(need, other) is None), key=lambda one: one.name))


def substitutes(own: InstanceType, types: Iterable[InstanceType]) -> frozenset[str]:
    """Name the types whose prices matter to instances of a type, whatever their images."""
    needs = [
        Need(own, architecture, virtualization, ena)
        for architecture in own.architectures
        for virtualization in own.virtualization
        for ena in (True, False)
    ]
    known = tuple(types)
    return frozenset(other.name for need in needs for other in known if incompatibility(need, other) is None)


def _only(values: frozenset[str]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None

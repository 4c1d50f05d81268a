"""EC2 instances as the inventory keeps them, and the facts of their types."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """EC2's instance states; the last two exist only as tombstones."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


LIVE = frozenset({State.PENDING, State.RUNNING, State.STOPPING, State.STOPPED})


class Lifecycle(StrEnum):
    """How an instance is bought."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"
    SCHEDULED = "scheduled"
    CAPACITY_BLOCK = "capacity-block"


class Instance(Struct, frozen=True, kw_only=True):
    """One instance as DescribeInstances tells it, with membership read from its tags.

    `account_id` is the 12 digits. `managed` is the owner's opt-in. `product` is the Spot market's
    `ProductDescription` (for example `Linux/UNIX`). Fields AWS left out are None or empty.
    """

    instance_id: str
    account_id: str
    region: str
    availability_zone: str | None = None
    az_id: str | None = None
    instance_type: str
    state: State
    lifecycle: Lifecycle = Lifecycle.ON_DEMAND
    asg_name: str | None = None
    cluster: str | None = None
    managed: bool = False
    tags: Mapping[str, str] = {}
    launched_at: datetime | None = None
    product: str = "Linux/UNIX"
    architecture: str | None = None
    virtualization: str | None = None
    ena: bool | None = None
    tenancy: str = "default"
    image_id: str | None = None
    root_device: str | None = None
    volume_ids: tuple[str, ...] = ()
    vpc_id: str | None = None
    subnet_id: str | None = None
    private_ip: str | None = None


class StoredInstance(Struct, frozen=True, kw_only=True):
    """An instance with what the inventory knows beyond AWS's answer."""

    instance: Instance
    load_balancers: tuple[str, ...] = ()
    first_seen_at: datetime
    changed_at: datetime
    terminated_at: datetime | None = None
    scope_completed_at: datetime | None = None


class InstanceType(Struct, frozen=True, kw_only=True):
    """What an instance type offers, as DescribeInstanceTypes tells it.

    Memory in MiB, instance storage in GB, network in Mbit/s (baseline); None where AWS says nothing.
    """

    name: str
    vcpus: int
    memory_mib: int
    architectures: frozenset[str]
    virtualization: frozenset[str]
    usage_classes: frozenset[str]
    gpus: int = 0
    gpu_name: str | None = None
    gpu_memory_mib: int = 0
    accelerators: int = 0
    storage_gb: int = 0
    network_mbps: int | None = None
    max_interfaces: int | None = None
    ena: str = "unsupported"
    burstable: bool = False
    bare_metal: bool = False
    current_generation: bool = True
    hypervisor: str | None = None

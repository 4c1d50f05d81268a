from typing import Any

import pytest

from spotd.engine.compatibility import incompatibility, need_of, substitutes
from tests.engine.fleets import instance, instance_type

OWN = instance_type("m5.large")


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({}, None),
        ({"vcpus": 8, "memory_mib": 32768}, None),
        ({"network_mbps": 10_000}, None),
        ({"ena": "supported"}, None),
        ({"storage_gb": 75}, None),
        ({"architectures": frozenset({"arm64"})}, "architecture"),
        ({"virtualization": frozenset({"paravirtual"})}, "virtualization"),
        ({"usage_classes": frozenset({"on-demand"})}, "usage_class"),
        ({"vcpus": 1}, "vcpus"),
        ({"vcpus": 16}, "size"),
        ({"memory_mib": 8191}, "memory"),
        ({"memory_mib": 65536}, "size"),
        ({"current_generation": False}, "generation"),
        ({"burstable": True}, "burstable"),
        ({"gpus": 1}, "gpu"),
        ({"accelerators": 1}, "gpu"),
        ({"network_mbps": 749}, "network"),
        ({"network_mbps": None}, "network"),
        ({"ena": "unsupported"}, "ena"),
        ({"bare_metal": True}, "bare_metal"),
        ({"hypervisor": "xen"}, "hypervisor"),
        ({"hypervisor": None}, "hypervisor"),
    ],
)
def test_another_type(facts: dict[str, Any], rule: str | None) -> None:
    """Each rule refuses the type that breaks it, and only that."""
    assert incompatibility(need_of(instance(), OWN), instance_type("m7i.large", **facts)) == rule


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({"gpus": 2}, "gpu"),
        ({"gpu_name": "T4"}, "gpu"),
        ({"gpu_memory_mib": 1}, "gpu"),
        ({"gpu_memory_mib": 99_999}, None),
    ],
)
def test_gpus(facts: dict[str, Any], rule: str | None) -> None:
    """GPUs are the same in number and model, with at least the memory."""
    gpu = {"gpus": 1, "gpu_name": "A10G", "gpu_memory_mib": 24_576}
    own, other = instance_type("g5.xlarge", **gpu), instance_type("g5.2xlarge", **(gpu | facts))
    assert incompatibility(need_of(instance(), own), other) == rule


def test_instance_store_is_kept() -> None:
    """A type with less instance storage does not stand in."""
    own, other = instance_type("m5d.large", storage_gb=75), instance_type("m6id.large", storage_gb=74)
    assert incompatibility(need_of(instance(), own), other) == "storage"


def test_an_image_without_ena() -> None:
    """An image not seen to use ENA does not go where ENA is required, but may stay on a type that does without."""
    own = instance_type("m4.large", ena="unsupported", hypervisor="xen")
    need = need_of(instance(ena=None), own)

    assert incompatibility(need, instance_type("m9.large", hypervisor="xen")) == "ena"
    assert incompatibility(need, own) is None


@pytest.mark.parametrize(
    "facts", [{"current_generation": False}, {"burstable": True}, {"network_mbps": None}, {"hypervisor": None}]
)
def test_the_own_type(facts: dict[str, Any]) -> None:
    """An instance's own type always fits, as long as it is sold as Spot."""
    own = instance_type("t2.micro", **facts)
    assert incompatibility(need_of(instance(), own), own) is None

    unsold = instance_type("t2.micro", usage_classes=frozenset({"on-demand"}))
    assert incompatibility(need_of(instance(), unsold), unsold) == "usage_class"


def test_unknown_architecture() -> None:
    """What AWS left out is taken from the type where it leaves no choice, and else refuses."""
    either = instance_type("t2.micro", architectures=frozenset({"i386", "x86_64"}))

    assert incompatibility(need_of(instance(architecture=None), OWN), OWN) is None
    assert incompatibility(need_of(instance(architecture=None), either), either) == "architecture"


def test_substitutes() -> None:
    """The types to price are those that could stand in for some instance of the type, itself among them."""
    known = [OWN, instance_type("m6i.large"), instance_type("m6g.large", architectures=frozenset({"arm64"}))]
    assert substitutes(OWN, known) == {"m5.large", "m6i.large"}

"""The generator: believable, and the same for the same seed."""

from collections import Counter

from spotd.sim import fleet
from spotd.sim.options import FLEET_REGIONS


def specs(seed: int, account: int = 0, instances: int = 240) -> list[fleet.InstanceSpec]:
    groups = fleet.generate(seed, account=account, regions=FLEET_REGIONS, instances=instances)
    return [spec for group in groups for spec in group.instances]


def test_the_same_seed_gives_the_same_fleet() -> None:
    """Seed and account decide everything."""
    assert specs(7) == specs(7)
    assert specs(7) != specs(8)
    assert specs(7) != specs(7, account=1)


def test_a_fleet_has_exactly_as_many_instances_as_asked() -> None:
    """However few or many."""
    assert [len(specs(3, instances=count)) for count in (0, 1, 7, 240)] == [0, 1, 7, 240]


def test_a_fleet_looks_like_a_company() -> None:
    """Mostly on demand, mostly opted in, some Spot and stopped, several families, arm64, Windows and GPUs."""
    found = specs(7, instances=1000)
    shares = {
        "spot": sum(spec.spot for spec in found) / 1000,
        "stopped": sum(spec.stopped for spec in found) / 1000,
        "managed": sum("spotd:managed" in spec.tags for spec in found) / 1000,
    }
    families = Counter(spec.instance_type.split(".")[0] for spec in found)
    assert 0.15 < shares["spot"] < 0.4
    assert 0.01 < shares["stopped"] < 0.15
    assert shares["managed"] > 0.8
    assert len(families) > 15
    assert {"t3", "m5", "c5", "g4dn", "m6g"} <= set(families)
    assert any("eks:cluster-name" in spec.tags for spec in found)
    assert any(tag.startswith("kubernetes.io/cluster/") for spec in found for tag in spec.tags)


def test_images_fit_the_processors() -> None:
    """No arm64 type runs an x86-64 image, nor the other way round."""
    arm = {"ami-000000a1000000002", "ami-000000a1000000004", "ami-000000a1000000006"}
    assert all(fleet.is_arm(spec.instance_type) == (spec.image in arm) for spec in specs(7, instances=1000))


def test_arm_is_read_from_the_family() -> None:
    """The letter after the generation says so; a `g` before it means graphics."""
    names = ("m6g.large", "c7gn.xlarge", "t4g.small", "a1.large", "g4dn.xlarge", "m5.large", "g5g.xlarge", "i4i.large")
    assert [fleet.is_arm(name) for name in names] == [True, True, True, True, False, False, True, False]

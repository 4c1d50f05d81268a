"""A seeded generator of believable fleets: pure data, the same for the same seed."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from spotd.sim import workloads
from spotd.sim.workloads import CATALOGUE, Load, Workload

_ARM_IMAGES = {workloads.LINUX: workloads.LINUX_ARM, workloads.UBUNTU: workloads.UBUNTU_ARM}
_X86_IMAGES = {arm: x86 for x86, arm in _ARM_IMAGES.items()}
_ENVIRONMENTS = ("production", "staging")
_STRIDE = 5  # without a common factor with the catalogue's length, so that the walk meets every kind
_REGION_STRIDE = 7
_LEAST_GROUPS = 6
_SHORT = {"production": "prod", "staging": "stag"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSpec:
    """One instance to be: `zone` counts the region's zones, `age_days` says how long ago it was launched."""

    instance_type: str
    image: str
    zone: int
    spot: bool
    stopped: bool
    tags: dict[str, str]
    load: Load
    age_days: float
    volumes: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """Instances that belong together: `asg` is the Auto Scaling group's name, if there is one."""

    name: str
    region: str
    asg: str | None
    balanced: bool
    instances: tuple[InstanceSpec, ...] = field(default=())


def generate(seed: int, *, account: int, regions: Sequence[str], instances: int) -> list[GroupSpec]:
    """The groups of one account: `instances` in all, spread over `regions`, the first ones larger."""
    groups: list[GroupSpec] = []
    for position, (region, count) in enumerate(zip(regions, _shares(instances, len(regions)), strict=True)):
        random = Random(f"{seed}/{account}/{region}")  # noqa: S311 - a reproducible fleet, not a secret
        groups.extend(_region(random, region, count, environment=_ENVIRONMENTS[account % 2], start=position))
    return groups


def _shares(total: int, regions: int) -> list[int]:
    weights = [1 / (1 + 0.35 * position) for position in range(regions)]
    shares = [int(total * weight / sum(weights)) for weight in weights]
    for position in range(total - sum(shares)):
        shares[position % regions] += 1
    return shares


def _region(random: Random, region: str, count: int, *, environment: str, start: int) -> Iterator[GroupSpec]:
    left = count
    names: dict[str, int] = {}
    for number in itertools.count():
        if left <= 0:
            return
        workload = _pick(random, number, start)
        size = min(left, random.randint(*workload.sizes), max(1, count // _LEAST_GROUPS))
        copies = names[workload.name] = names.get(workload.name, 0) + 1
        name = "-".join([_SHORT[environment], workload.name, *([str(copies)] if copies > 1 else [])])
        yield _group(random, workload, region, size, _group_tags(workload, name, environment))
        left -= size


def _pick(random: Random, number: int, start: int) -> Workload:
    """The first groups of a region walk through the catalogue, so that small fleets are mixed too; then it is chance."""
    if number < len(CATALOGUE):
        return CATALOGUE[(number * _STRIDE + start * _REGION_STRIDE) % len(CATALOGUE)]
    return random.choices(CATALOGUE, [workload.weight for workload in CATALOGUE])[0]


def _group(random: Random, workload: Workload, region: str, size: int, tags: dict[str, str]) -> GroupSpec:
    grouped = workload.grouping in {"asg", "eks"}
    chosen = random.choice(workload.types)
    specs = tuple(
        _instance(random, workload, chosen if grouped else random.choice(workload.types), tags, number)
        for number in range(size)
    )
    return GroupSpec(
        name=tags["Name"],
        region=region,
        asg=tags.get("aws:autoscaling:groupName"),
        balanced=workload.balanced,
        instances=specs,
    )


def _group_tags(workload: Workload, name: str, environment: str) -> dict[str, str]:
    tags = {"Name": name, "team": workload.team, "env": environment, "service": workload.name}
    if workload.managed:
        tags["spotd:managed"] = "true"
    match workload.grouping:
        case "asg":
            tags["aws:autoscaling:groupName"] = f"{name}-asg"
        case "eks":
            tags |= {
                "aws:autoscaling:groupName": f"eks-{name}-nodes",
                "eks:cluster-name": name,
                "eks:nodegroup-name": f"{name}-nodes",
                f"kubernetes.io/cluster/{name}": "owned",
            }
        case "kubernetes":
            tags |= {f"kubernetes.io/cluster/{name}": "owned", "KubernetesCluster": name}
    return tags


def _instance(
    random: Random, workload: Workload, instance_type: str, group_tags: dict[str, str], number: int
) -> InstanceSpec:
    name = group_tags["Name"] if workload.grouping != "single" else f"{group_tags['Name']}-{number + 1}"
    spot = random.random() < workload.spot
    return InstanceSpec(
        instance_type=instance_type,
        image=_image(workload.image, instance_type),
        zone=number,
        spot=spot,
        stopped=not spot and random.random() < workload.stopped,
        tags={**group_tags, "Name": name},
        load=_varied(random, workload.load),
        age_days=random.uniform(0.2, 6) if spot else random.uniform(2, 400),
        volumes=workload.volumes,
    )


def is_arm(instance_type: str) -> bool:
    """Whether a type is arm64, by the `g` after its generation (m6g, c7gn, t4g) or as a1."""
    family = instance_type.partition(".")[0]
    generation = family.lstrip("abcdefghijklmnopqrstuvwxyz").lstrip("0123456789")
    return family == "a1" or generation.startswith("g")


def _image(image: str, instance_type: str) -> str:
    return (_ARM_IMAGES if is_arm(instance_type) else _X86_IMAGES).get(image, image)


def _varied(random: Random, load: Load) -> Load:
    factor = random.uniform(0.7, 1.3)
    return Load(load.base * factor, load.swing * factor, load.noise)

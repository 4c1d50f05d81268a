"""Instances brought into being inside moto: by the generator, by a test, or by an Auto Scaling group."""

from collections.abc import Mapping, Sequence
from typing import Any

from spotd.sim.world import World

GROUP_TAG = "aws:autoscaling:groupName"
_LETTERS = "afghij"


def launch(
    backend: Any,
    *,
    image: str,
    instance_type: str,
    subnet_id: str,
    tags: Mapping[str, str],
    spot: bool,
    volumes: Sequence[tuple[int, str]] = ((8, "gp3"),),
    count: int = 1,
) -> list[Any]:
    """Run instances in one reservation; moto's instance objects. `volumes` are (GiB, type), the root first."""
    reservation = backend.run_instances(
        image_id=image,
        count=count,
        user_data=None,
        security_group_names=["default"],
        instance_type=instance_type,
        is_instance_type_default=True,
        subnet_id=subnet_id,
        region_name=backend.region_name,
        tags={"instance": dict(tags), "volume": {"Name": tags["Name"]} if "Name" in tags else {}},
        block_device_mappings=[_device(letter, *volume) for letter, volume in zip(_LETTERS, volumes, strict=False)],
        lifecycle="spot" if spot else None,
    )
    return list(reservation.instances)


def _device(letter: str, size: int, kind: str) -> Mapping[str, Any]:
    ebs = {"VolumeSize": size, "VolumeType": kind, "DeleteOnTermination": letter == "a"}
    return {"DeviceName": "/dev/xvda" if letter == "a" else f"/dev/sd{letter}", "Ebs": ebs}


def tags_of(instance: Any) -> Mapping[str, str]:
    """An instance's tags (moto's own way to them searches through every tag of the region)."""
    tags: Mapping[str, str] = instance.ec2_backend.tags.get(instance.id, {})
    return tags


def joined(group: Any, instances: Sequence[Any]) -> None:
    """Make instances members of moto's Auto Scaling group, in service."""
    from moto.autoscaling.models import InstanceState  # noqa: PLC0415 - after moto's environment is set

    group.instance_states += [InstanceState(instance, autoscaling_group=group) for instance in instances]


def replace(world: World, account_id: str, region: str, gone: Any) -> str | None:
    """What an Auto Scaling group does when it loses an instance: launch its like and register it; the new id."""
    scaling = world.moto.existing("autoscaling", account_id, region)
    group = scaling.autoscaling_groups.get(tags_of(gone).get(GROUP_TAG)) if scaling is not None else None
    if group is None:
        return None
    [instance] = launch(
        gone.ec2_backend,
        image=gone.image_id,
        instance_type=gone.instance_type,
        subnet_id=gone._subnet_id,  # noqa: SLF001 - `subnet_id` of a terminated instance raises
        tags=tags_of(gone),
        spot=gone.lifecycle == "spot",
    )
    group.instance_states = [state for state in group.instance_states if state.instance is not gone]
    joined(group, [instance])
    for arn in group.target_group_arns:
        elb = world.moto.of("elbv2", account_id, region)
        elb.deregister_targets(arn, [{"Id": gone.id}])
        elb.register_targets(arn, [{"Id": instance.id, "Port": "8080"}])
    world.loads[instance.id] = world.load_of(gone.id)
    return str(instance.id)

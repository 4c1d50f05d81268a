"""`ec2.DescribeInstances`, told from moto's objects but rendered here: moto takes milliseconds an instance."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from spotd.sim.catalogue import Catalogue
from spotd.sim.errors import ServiceError
from spotd.sim.filters import passes
from spotd.sim.launching import tags_of
from spotd.sim.paging import opened, token
from spotd.sim.protocol import Call
from spotd.sim.world import World

Told = Mapping[str, Any]

_ID = re.compile(r"i-[0-9a-f]{8,17}")
_LIMITS = range(5, 1001)


class Instances:
    """Answers `DescribeInstances`."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        self._world = world
        self._catalogue = catalogue

    def describe_instances(self, call: Call) -> Told:
        """Instances by id, filter and page; a page ends after the reservation that fills it."""
        limit = _limit(call)
        backend = self._world.ec2(call.account_id, call.region)
        reservations = list(backend.reservations.values()) if backend else []
        _check_ids(call.params.get("InstanceIds", []), reservations)
        rest = _after(reservations, opened(call.params.get("NextToken")))
        found: list[Told] = []
        count = 0
        for position, reservation in enumerate(rest, start=1):
            instances = self._told(call, reservation)
            if instances:
                found.append(_reservation(call, reservation, instances))
                count += len(instances)
            if limit is not None and count >= limit and position < len(rest):
                ended_at = len(reservations) - len(rest) + position
                return {"Reservations": found, "NextToken": token(f"{ended_at}/{reservation.id}")}
        return {"Reservations": found}

    def _told(self, call: Call, reservation: Any) -> Sequence[Told]:
        wanted = set(call.params.get("InstanceIds", []))
        told = [self._instance(call, one) for one in reservation.instances if not wanted or one.id in wanted]
        return [one for one in told if passes(one, call.params.get("Filters", []))]

    def _instance(self, call: Call, instance: Any) -> Told:
        facts = self._catalogue.types.get(instance.instance_type, {})
        zone_id = self._world.zones(call.account_id, call.region).get(instance.placement.zone)
        return {
            **_identity(instance),
            **_place(instance, zone_id),
            **_machine(instance, facts),
            **_purchase(instance),
            **self._world.overrides.get(instance.id, {}),
        }


def _reservation(call: Call, reservation: Any, instances: Sequence[Told]) -> Told:
    return {
        "ReservationId": reservation.id,
        "OwnerId": call.account_id,
        "Groups": [],
        "Instances": instances,
    }


def _identity(instance: Any) -> Told:
    return {
        "AmiLaunchIndex": int(instance.ami_launch_index),
        "ImageId": instance.image_id,
        "InstanceId": instance.id,
        "InstanceType": instance.instance_type,
        "LaunchTime": _utc(instance.launch_time),
        "Monitoring": {"State": instance.monitoring_state},
        "State": {"Code": instance.state_code, "Name": instance.state},
        "StateReason": _state_reason(instance),
        "StateTransitionReason": instance.state_transition_reason,
        "ClientToken": instance.client_token or "",
        "Tags": [{"Key": key, "Value": value} for key, value in tags_of(instance).items()] or None,
    }


def _place(instance: Any, zone_id: str | None) -> Told:
    placement = {
        "AvailabilityZone": instance.placement.zone,
        "AvailabilityZoneId": zone_id,
        "GroupName": "",
        "Tenancy": instance.placement.tenancy,
    }
    if instance.state == "terminated":
        return {"Placement": placement, "PrivateDnsName": "", "PublicDnsName": ""}
    return {
        "Placement": placement,
        "PrivateDnsName": instance.private_dns_name,
        "PublicDnsName": "",
        "PrivateIpAddress": instance.private_ip_address,
        "SubnetId": instance.subnet_id,
        "VpcId": instance.vpc_id,
        "NetworkInterfaces": [_interface(nic) for nic in instance.nics.values()],
        "SecurityGroups": [{"GroupId": group.id, "GroupName": group.name} for group in instance.security_groups],
        "SourceDestCheck": True,
    }


def _interface(nic: Any) -> Told:
    return {
        "NetworkInterfaceId": nic.id,
        "PrivateIpAddress": nic.private_ip_address,
        "Status": "in-use",
        "SubnetId": nic.subnet.id,
        "VpcId": nic.subnet.vpc_id,
    }


def _machine(instance: Any, facts: Told) -> Told:
    return {
        "Architecture": instance.architecture,
        "BlockDeviceMappings": [_device(name, volume) for name, volume in instance.get_block_device_mapping],
        "CpuOptions": _cpu_options(facts),
        "EbsOptimized": bool(instance.ebs_optimized),
        "EnaSupport": facts.get("NetworkInfo", {}).get("EnaSupport", "unsupported") != "unsupported",
        "Hypervisor": "xen",
        "MetadataOptions": {"State": "applied", "HttpTokens": "required", "HttpEndpoint": "enabled"},
        "RootDeviceName": instance.root_device_name,
        "RootDeviceType": instance.root_device_type,
        "VirtualizationType": instance.virtualization_type,
    }


def _purchase(instance: Any) -> Told:
    spot = instance.lifecycle == "spot"
    windows = instance.platform == "windows"
    return {
        "InstanceLifecycle": "spot" if spot else None,
        "SpotInstanceRequestId": f"sir-{instance.id[-8:]}" if spot else None,
        "Platform": "windows" if windows else None,
        "PlatformDetails": "Windows" if windows else "Linux/UNIX",
        "UsageOperation": "RunInstances:0002" if windows else "RunInstances",
    }


def _device(name: str, volume: Any) -> Mapping[str, Any]:
    return {
        "DeviceName": name,
        "Ebs": {
            "AttachTime": _utc(volume.attach_time) if volume.attach_time else None,
            "DeleteOnTermination": bool(volume.delete_on_termination),
            "Status": "attached",
            "VolumeId": volume.volume_id,
        },
    }


def _state_reason(instance: Any) -> Mapping[str, str] | None:
    reason = instance.state_reason
    return {"Code": reason.code, "Message": reason.message} if reason is not None and reason.code else None


def _cpu_options(facts: Mapping[str, Any]) -> Mapping[str, int] | None:
    cpu = facts.get("VCpuInfo", {})
    if "DefaultCores" not in cpu:
        return None
    return {"CoreCount": cpu["DefaultCores"], "ThreadsPerCore": cpu.get("DefaultThreadsPerCore", 1)}


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


# --- what a request may ask ----------------------------------------------------


def _limit(call: Call) -> int | None:
    limit = call.params.get("MaxResults")
    if limit is None:
        return None
    if limit not in _LIMITS:
        raise ServiceError(
            "InvalidParameterValue",
            f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value greater than 5.",
        )
    if call.params.get("InstanceIds"):
        raise ServiceError(
            "InvalidParameterCombination", "The parameter instancesSet cannot be used with the parameter maxResults"
        )
    return int(limit)


def _check_ids(wanted: Sequence[str], reservations: Sequence[Any]) -> None:
    malformed = [name for name in wanted if not _ID.fullmatch(name)]
    if malformed:
        raise ServiceError("InvalidInstanceID.Malformed", f'Invalid id: "{malformed[0]}"')
    if not wanted:
        return
    missing = set(wanted) - {instance.id for reservation in reservations for instance in reservation.instances}
    if missing:
        noun = "ID" if len(missing) == 1 else "IDs"
        verb = "does" if len(missing) == 1 else "do"
        message = f"The instance {noun} '{', '.join(sorted(missing))}' {verb} not exist"
        raise ServiceError("InvalidInstanceID.NotFound", message)


def _after(reservations: Sequence[Any], place: str) -> Sequence[Any]:
    """What follows the reservation at which the last page ended; should it be gone, what follows its place."""
    position, _, reservation_id = place.partition("/")
    found = (number for number, one in enumerate(reservations, start=1) if one.id == reservation_id)
    return reservations[next(found, int(position or 0)) :]

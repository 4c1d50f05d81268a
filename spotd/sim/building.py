"""The first day of the simulated world: accounts, roles, the queue with its rules, and the fleets."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from spotd.sim import fleet
from spotd.sim.backends import Moto
from spotd.sim.fleet import GroupSpec, InstanceSpec
from spotd.sim.identity import Identities
from spotd.sim.launching import joined, launch
from spotd.sim.options import Options
from spotd.sim.world import ACCOUNT_NAMES, HOME_REGION, QUEUE_NAME, Account, World

_RULE_PATTERN = json.dumps({"source": ["aws.ec2", "aws.autoscaling", "aws.health"]})


def build(options: Options, moto: Moto) -> World:
    """Everything that exists before the first call; about 10 ms an instance."""
    random = Random(f"accounts/{options.seed}")  # noqa: S311 - reproducible test credentials
    hub = _account(moto, random, index=0, name="spotd-hub", hub_id=None)
    names = [ACCOUNT_NAMES[n] if n < len(ACCOUNT_NAMES) else f"account-{n + 1}" for n in range(options.accounts)]
    accounts = tuple(
        _account(moto, random, index=index, name=name, hub_id=hub.account_id) for index, name in enumerate(names)
    )
    identities = Identities(moto, [hub.account_id, *(account.account_id for account in accounts)])
    queue_arn = _queue(moto, hub)
    world = World(options, moto, identities, hub, accounts, queue_arn)
    _populate(world)
    return world


# --- accounts ----------------------------------------------------------------


def _account(moto: Moto, random: Random, *, index: int, name: str, hub_id: str | None) -> Account:
    account_id = str(random.randrange(10**11, 10**12))
    iam = moto.iam(account_id)
    user = iam.create_user(HOME_REGION, "spotd" if hub_id is None else "spotd-readonly")
    key = iam.create_access_key(user.name)
    external_id = f"spotd-{random.getrandbits(64):016x}"
    trusted = f"arn:aws:iam::{hub_id or account_id}:root"
    return Account(
        account_id=account_id,
        name=name,
        index=index,
        user_arn=user.arn,
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        role_arn=_role(iam, "spotd", trust_policy(trusted, external_id)),
        external_id=external_id,
        open_role_arn=_role(iam, "spotd-without-external-id", trust_policy(trusted, None)),
    )


def trust_policy(principal: str, external_id: str | None) -> Mapping[str, Any]:
    """Who may assume a role; with an ExternalId, only those who know it."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _role(iam: Any, name: str, trust: Mapping[str, Any]) -> str:
    role = iam.create_role(
        role_name=name,
        assume_role_policy_document=json.dumps(trust),
        path="/",
        permissions_boundary=None,
        description="for the simulated daemon",
        tags=[],
        max_session_duration="3600",
    )
    return str(role.arn)


def _queue(moto: Moto, hub: Account) -> str:
    sqs = moto.of("sqs", hub.account_id, HOME_REGION)
    queue = sqs.create_queue(QUEUE_NAME, {}, VisibilityTimeout="60", MessageRetentionPeriod="345600")
    return str(queue.queue_arn)


# --- fleets ------------------------------------------------------------------


def _populate(world: World) -> None:
    accounts, total = world.accounts, world.options.instances
    for account in accounts:
        share = total // len(accounts) + (account.index < total % len(accounts))
        regions = world.options.regions
        for group in fleet.generate(world.options.seed, account=account.index, regions=regions, instances=share):
            _Group(world, account, group).create()
        for region in regions:
            _rule(world, account, region)


def _rule(world: World, account: Account, region: str) -> None:
    events = world.moto.of("events", account.account_id, region)
    events.put_rule("spotd-events", event_pattern=_RULE_PATTERN)
    events.put_targets("spotd-events", None, [{"Id": "queue", "Arn": world.queue_arn}])


class _Group:
    """Writes one group into moto: its instances, and the Auto Scaling group and load balancer around them."""

    def __init__(self, world: World, account: Account, spec: GroupSpec) -> None:
        self._world = world
        self._account = account
        self._spec = spec
        self._ec2 = world.ec2(account.account_id, spec.region) or fresh_region(world, account, spec.region)
        self._subnets: Sequence[Any] = list(self._ec2.get_default_subnets().values())

    def create(self) -> None:
        instances = [self._instance(spec) for spec in self._spec.instances]
        target_group = self._balance(instances) if self._spec.balanced else None
        if self._spec.asg:
            self._scale(self._spec.asg, instances, [target_group] if target_group else [])

    def _instance(self, spec: InstanceSpec) -> Any:
        [instance] = launch(
            self._ec2,
            image=spec.image,
            instance_type=spec.instance_type,
            subnet_id=self._subnets[spec.zone % len(self._subnets)].id,
            tags=spec.tags,
            spot=spec.spot,
            volumes=spec.volumes,
        )
        instance.launch_time = (datetime.now(UTC) - timedelta(days=spec.age_days)).replace(tzinfo=None)
        if spec.stopped:
            instance.stop()
        self._world.loads[instance.id] = spec.load
        return instance

    def _balance(self, instances: Sequence[Any]) -> str:
        elb = self._world.moto.of("elbv2", self._account.account_id, self._spec.region)
        name = self._spec.name[:28].strip("-")
        vpc_id = self._subnets[0].vpc_id
        subnet_ids = [subnet.id for subnet in self._subnets[:2]]
        balancer = elb.create_load_balancer(name, [], subnet_ids, scheme="internal", loadbalancer_type="application")
        group = elb.create_target_group(
            f"{name}-tg", vpc_id=vpc_id, protocol="HTTP", port="8080", target_type="instance"
        )
        forward = {"Type": "forward", "TargetGroupArn": group.arn, "Order": 1}
        elb.create_listener(balancer.arn, "HTTP", "80", None, None, [forward])
        elb.register_targets(group.arn, [{"Id": instance.id, "Port": "8080"} for instance in instances])
        return str(group.arn)

    def _scale(self, name: str, instances: Sequence[Any], target_groups: list[str]) -> None:
        template = self._ec2.create_launch_template(
            f"{name}-template",
            "",
            {"ImageId": instances[0].image_id, "InstanceType": instances[0].instance_type},
            {},
        )
        scaling = self._world.moto.of("autoscaling", self._account.account_id, self._spec.region)
        group = scaling.create_auto_scaling_group(
            name=name,
            availability_zones=[],
            desired_capacity=0,
            max_size=3 * len(instances),
            min_size=0,
            launch_config_name=None,
            launch_template={"LaunchTemplateId": template.id, "Version": "$Latest"},
            vpc_zone_identifier=",".join(subnet.id for subnet in self._subnets[:3]),
            default_cooldown=300,
            health_check_period=300,
            health_check_type="EC2",
            load_balancers=[],
            target_group_arns=target_groups,
            placement_group=None,
            termination_policies=["Default"],
            tags=[],
        )
        joined(group, instances)
        group.desired_capacity = len(instances)


def fresh_region(world: World, account: Account, region: str) -> Any:
    """A region's EC2 whose default subnets carry this account's zone ids."""
    from moto.ec2.models.availability_zones_and_regions import Zone  # noqa: PLC0415 - after moto's environment is set

    backend = world.moto.of("ec2", account.account_id, region)
    zones = world.zones(account.account_id, region)
    for subnet in backend.get_default_subnets().values():
        name = subnet.availability_zone
        subnet._availability_zone = Zone(name, region, zones[name])  # noqa: SLF001 - moto offers no other way
    return backend

"""Which load balancers send traffic to which instances."""

from collections import defaultdict
from collections.abc import Mapping

from spotd.aws.replies import Raw, optional_text, part, rows
from spotd.aws.session import AccountSession


async def load_balancers_of(session: AccountSession, region: str) -> Mapping[str, tuple[str, ...]]:
    """Return, by instance id, what serves it: `app/NAME`, `net/NAME`, or `targetgroup/NAME` without a balancer.

    Targets registered by address are not resolved to instances. Raises AwsError.
    """
    served: dict[str, set[str]] = defaultdict(set)
    async for page in session.pages("elbv2", region, "DescribeTargetGroups"):
        for group in page.rows:
            for instance_id in await _targets(session, region, group):
                served[instance_id].update(_names(group))
    return {instance_id: tuple(sorted(names)) for instance_id, names in served.items()}


async def _targets(session: AccountSession, region: str, group: Raw) -> list[str]:
    arn = optional_text(group, "TargetGroupArn")
    if arn is None or group.get("TargetType", "instance") != "instance":
        return []
    reply = await session.call("elbv2", region, "DescribeTargetHealth", TargetGroupArn=arn)
    targets = (optional_text(part(row, "Target"), "Id") for row in rows(reply, "TargetHealthDescriptions"))
    return [target for target in targets if target is not None]


def _names(group: Raw) -> set[str]:
    arns = [arn for arn in group.get("LoadBalancerArns") or () if isinstance(arn, str)]
    return {_balancer(arn) for arn in arns} or {f"targetgroup/{group.get('TargetGroupName', '?')}"}


def _balancer(arn: str) -> str:
    """`…:loadbalancer/app/web/50dc6c495c0c9188` → `app/web`."""
    return "/".join(arn.rpartition(":loadbalancer/")[2].split("/")[:2])

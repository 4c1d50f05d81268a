"""Which operations this package answers itself; all others are moto's."""

from collections.abc import Callable, Mapping
from typing import Any

from spotd.sim.catalogue import Catalogue
from spotd.sim.instances import Instances
from spotd.sim.market import Market
from spotd.sim.metrics import Metrics
from spotd.sim.places import Places
from spotd.sim.pricing import Pricing
from spotd.sim.protocol import Call
from spotd.sim.world import World

Handler = Callable[[Call], Mapping[str, Any]]


def handlers(world: World, catalogue: Catalogue, market: Market) -> Mapping[str, Handler]:
    """Operation name (`ec2.DescribeInstances`) → the function that answers it."""
    instances, places = Instances(world, catalogue), Places(world, catalogue)
    metrics, pricing = Metrics(world), Pricing(catalogue)
    return {
        "ec2.DescribeInstances": instances.describe_instances,
        "ec2.DescribeRegions": places.describe_regions,
        "ec2.DescribeAvailabilityZones": places.describe_availability_zones,
        "ec2.DescribeInstanceTypes": places.describe_instance_types,
        "ec2.DescribeInstanceTypeOfferings": places.describe_instance_type_offerings,
        "ec2.DescribeSpotPriceHistory": lambda call: market.describe_spot_price_history(world, call),
        "cloudwatch.GetMetricData": metrics.get_metric_data,
        "cloudwatch.GetMetricStatistics": metrics.get_metric_statistics,
        "pricing.GetProducts": pricing.get_products,
        "sts.GetCallerIdentity": lambda call: _caller_identity(world, call),
        "sts.AssumeRole": lambda call: _assume_role(world, call),
    }


def _caller_identity(world: World, call: Call) -> Mapping[str, Any]:
    principal = world.identities.find(call.access_key_id)
    user_id = principal.user_id if principal is not None else ""
    return {"UserId": user_id, "Account": call.account_id, "Arn": call.caller_arn}


def _assume_role(world: World, call: Call) -> Mapping[str, Any]:
    caller = world.identities.find(call.access_key_id)
    assert caller is not None, "an unauthenticated call got this far"
    access_key_id, session = world.identities.assume(call, caller, world.now())
    world.record("assumed", role_arn=session.role_arn, by=caller.arn)
    return {
        "Credentials": {
            "AccessKeyId": access_key_id,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": session.expires_at,
        },
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        "PackedPolicySize": 6,
    }

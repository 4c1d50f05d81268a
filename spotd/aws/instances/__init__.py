"""EC2's instances and what surrounds them: listings, types, zones, regions, load balancers."""

from spotd.aws.instances.balancers import load_balancers_of
from spotd.aws.instances.convert import instance_from
from spotd.aws.instances.listing import Page, describe_instances, list_instances
from spotd.aws.instances.regions import RegionSet, enabled_regions, zones
from spotd.aws.instances.types import instance_type_from, list_instance_types

__all__ = [
    "Page",
    "RegionSet",
    "describe_instances",
    "enabled_regions",
    "instance_from",
    "instance_type_from",
    "list_instance_types",
    "list_instances",
    "load_balancers_of",
    "zones",
]

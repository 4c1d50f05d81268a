"""EC2's regions, zones, and instance types with where they are offered."""

from collections.abc import Mapping, Sequence
from typing import Any

from spotd.sim import geography
from spotd.sim.catalogue import Catalogue
from spotd.sim.errors import ServiceError
from spotd.sim.filters import passes
from spotd.sim.paging import page
from spotd.sim.protocol import Call
from spotd.sim.world import World

_TYPES_PAGE = 100


class Places:
    """Where one can be and what one can run there."""

    def __init__(self, world: World, catalogue: Catalogue) -> None:
        self._world = world
        self._catalogue = catalogue

    def describe_regions(self, call: Call) -> Mapping[str, Any]:
        """`DescribeRegions`: with AllRegions also those the account has not opted into."""
        enabled = self._world.options.enabled_regions
        shown = [*enabled, *(geography.OPT_IN if call.params.get("AllRegions") else ())]
        wanted = call.params.get("RegionNames") or shown
        rows = [
            {
                "Endpoint": f"ec2.{name}.amazonaws.com",
                "RegionName": name,
                "OptInStatus": _opt_in_status(name, enabled),
            }
            for name in dict.fromkeys(shown)
            if name in wanted
        ]
        missing = set(wanted) - {row["RegionName"] for row in rows}
        if missing:
            raise ServiceError("InvalidParameterValue", f"Invalid region: {', '.join(sorted(missing))}")
        return {"Regions": [row for row in rows if passes(row, call.params.get("Filters", []))]}

    def describe_availability_zones(self, call: Call) -> Mapping[str, Any]:
        """`DescribeAvailabilityZones`: zone ids are shuffled per account, as AWS does."""
        wanted = set(call.params.get("ZoneNames", [])) | set(call.params.get("ZoneIds", []))
        rows = [
            {
                "OptInStatus": "opt-in-not-required",
                "RegionName": call.region,
                "ZoneName": name,
                "ZoneId": zone_id,
                "GroupName": f"{call.region}-zg-1",
                "NetworkBorderGroup": call.region,
                "ZoneType": "availability-zone",
                "State": "available",
                "Messages": [],
            }
            for name, zone_id in self._world.zones(call.account_id, call.region).items()
            if not wanted or {name, zone_id} & wanted
        ]
        return {"AvailabilityZones": [row for row in rows if passes(row, call.params.get("Filters", []))]}

    # --- types ---------------------------------------------------------------

    def describe_instance_types(self, call: Call) -> Mapping[str, Any]:
        """`DescribeInstanceTypes`: those offered in the region, or the named ones."""
        wanted = call.params.get("InstanceTypes") or sorted(self._catalogue.offered(call.region))
        unknown = [name for name in wanted if name not in self._catalogue.types]
        if unknown:
            message = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
            raise ServiceError("InvalidInstanceType", message)
        facts = [self._catalogue.types[name] for name in wanted]
        rows = [row for row in facts if passes(row, call.params.get("Filters", []))]
        size = int(call.params.get("MaxResults") or _TYPES_PAGE)
        found, following = page(rows, next_token=call.params.get("NextToken"), size=size)
        return {"InstanceTypes": found, "NextToken": following}

    def describe_instance_type_offerings(self, call: Call) -> Mapping[str, Any]:
        """`DescribeInstanceTypeOfferings` by region, zone or zone id."""
        by = call.params.get("LocationType", "region")
        zones = self._world.zones(call.account_id, call.region)
        places = {"region": [call.region], "availability-zone": [*zones], "availability-zone-id": [*zones.values()]}
        if by not in places:
            raise ServiceError("InvalidParameterValue", f"Value ({by}) for parameter LocationType is invalid.")
        rows = [
            {"InstanceType": name, "LocationType": by, "Location": place}
            for name in sorted(self._catalogue.offered(call.region))
            for place in places[by]
        ]
        kept = [row for row in rows if passes(row, call.params.get("Filters", []))]
        size = int(call.params.get("MaxResults") or len(kept) or 1)
        found, following = page(kept, next_token=call.params.get("NextToken"), size=size)
        return {"InstanceTypeOfferings": found, "NextToken": following}


def _opt_in_status(region: str, enabled: Sequence[str]) -> str:
    if region not in geography.OPT_IN:
        return "opt-in-not-required"
    return "opted-in" if region in enabled else "not-opted-in"

"""Which regions an account may use, and how its zones are called."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from spotd.aws.errors import AwsError, Call, Denial, MalformedReply, classify
from spotd.aws.replies import Raw, optional_text, rows
from spotd.aws.session import AccountSession
from spotd.aws.sts import partition_of

ASKED: Final = ("us-east-1", "eu-west-1", "us-west-2", "eu-central-1", "cn-north-1", "us-gov-west-1")
"""Any region knows all of its partition; where a policy closes one of these, another may be open."""
NOT_OPTED_IN: Final = "not-opted-in"


class RegionSet(NamedTuple):
    """The regions an account may use, and those it has not opted in to; both sorted."""

    enabled: tuple[str, ...]
    denied: tuple[str, ...]


async def enabled_regions(session: AccountSession) -> RegionSet:
    """Return which regions the account may use, asking one region after the other, home first, until one answers.

    Raises AwsError, the first one, when none does; at once when the credentials are what is refused.
    """
    refusal: AwsError | None = None
    for region in _asked(session.home_region):
        try:
            return await _regions_told_by(session, region)
        except AwsError as error:
            refusal = refusal or error
            if error.denial is Denial.CREDENTIALS:
                break
    raise refusal or AssertionError("unreachable: home is asked")


async def zones(session: AccountSession, region: str) -> Mapping[str, str]:
    """Return the account's zone names with their ids (`us-east-1a` → `use1-az4`); raises AwsError."""
    reply = await session.call("ec2", region, "DescribeAvailabilityZones")
    pairs = (
        (optional_text(zone, "ZoneName"), optional_text(zone, "ZoneId")) for zone in rows(reply, "AvailabilityZones")
    )
    return {name: zone_id for name, zone_id in pairs if name and zone_id}


def _asked(home: str) -> Sequence[str]:
    same = (region for region in ASKED if region != home and partition_of(region) == partition_of(home))
    return (home, *same)


async def _regions_told_by(session: AccountSession, region: str) -> RegionSet:
    reply = await session.call("ec2", region, "DescribeRegions", AllRegions=True)
    told = rows(reply, "Regions")
    if not told:
        call = Call(session.account_id, region, "ec2", "DescribeRegions")
        raise classify(MalformedReply("/Regions", "no region at all"), call)
    return RegionSet(_named(told, closed=False), _named(told, closed=True))


def _named(told: Sequence[Raw], *, closed: bool) -> tuple[str, ...]:
    names = (optional_text(row, "RegionName") for row in told if (row.get("OptInStatus") == NOT_OPTED_IN) is closed)
    return tuple(sorted(name for name in names if name))

"""Every AWS operation spotd calls: its paging, its share of AWS's rate limits, and why it is needed.

The session refuses whatever is not listed, and the policies given to account owners are generated from this table, so
code and permissions cannot drift apart.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple


class Capability(StrEnum):
    """What a set of operations is for; the policy has one statement for each."""

    INVENTORY = "inventory"
    MARKET = "market"
    METRICS = "metrics"
    IDENTITY = "identity"
    """Needs no permission in an account: STS answers anybody, or the daemon's own identity asks."""
    QUEUE = "queue"
    """The daemon's own queues; never part of an account's policy."""


class Rate(NamedTuple):
    """A token bucket: its size, and the tokens that flow in per second."""

    burst: float
    per_second: float


class Group(NamedTuple):
    """Operations that share one of AWS's token buckets.

    `rate` is None where AWS sets no limit that matters. `pooled` calls count as calls under way; long polls would
    fill that pool for nothing, and a session's renewal is awaited by a call that holds a place already.
    """

    name: str
    rate: Rate | None
    pooled: bool = True


class Paging(NamedTuple):
    """How an operation pages: the request's token, the answer's token, the answer's list."""

    token_in: str
    token_out: str
    rows: str


class Operation(NamedTuple):
    """One operation, and the parts of its IAM action where they are not its service and name."""

    service: str
    name: str
    capability: Capability
    group: Group
    paging: Paging | None = None
    iam_prefix: str | None = None
    iam_name: str | None = None

    @property
    def action(self) -> str:
        """The IAM action that allows it."""
        return f"{self.iam_prefix or self.service}:{self.iam_name or self.name}"


# EC2: docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html. CloudWatch: GetMetricData, 50 per second.
# Elastic Load Balancing and Pricing publish no figure; these are below what both are known to bear.
PAGINATED: Final = Group("paginated", Rate(100, 20))
UNPAGINATED: Final = Group("unpaginated", Rate(50, 10))
BALANCERS: Final = Group("describe", Rate(40, 20))
METRIC_DATA: Final = Group("metric-data", Rate(50, 50))
PRICE_LIST: Final = Group("price-list", Rate(80, 40))
TOKENS: Final = Group("tokens", Rate(400, 100), pooled=False)
MESSAGES: Final = Group("messages", None, pooled=False)


def _ec2(name: str, rows: str, capability: Capability = Capability.INVENTORY) -> Operation:
    return Operation("ec2", name, capability, PAGINATED, Paging("NextToken", "NextToken", rows))


def _elbv2(name: str, rows: str | None = None) -> Operation:
    paging = Paging("Marker", "NextMarker", rows) if rows else None
    return Operation("elbv2", name, Capability.INVENTORY, BALANCERS, paging, "elasticloadbalancing")


FETCH: Final = (
    _ec2("DescribeInstances", "Reservations"),
    _ec2("DescribeInstanceTypes", "InstanceTypes"),
    Operation("ec2", "DescribeRegions", Capability.INVENTORY, UNPAGINATED),
    Operation("ec2", "DescribeAvailabilityZones", Capability.INVENTORY, UNPAGINATED),
    _elbv2("DescribeTargetGroups", "TargetGroups"),
    _elbv2("DescribeTargetHealth"),
    _ec2("DescribeSpotPriceHistory", "SpotPriceHistory", Capability.MARKET),
    Operation("pricing", "GetProducts", Capability.MARKET, PRICE_LIST, Paging("NextToken", "NextToken", "PriceList")),
    Operation(
        "cloudwatch",
        "GetMetricData",
        Capability.METRICS,
        METRIC_DATA,
        Paging("NextToken", "NextToken", "MetricDataResults"),
    ),
    Operation("sts", "GetCallerIdentity", Capability.IDENTITY, TOKENS),
    Operation("sts", "AssumeRole", Capability.IDENTITY, TOKENS),
    Operation("sqs", "ReceiveMessage", Capability.QUEUE, MESSAGES),
    Operation("sqs", "DeleteMessageBatch", Capability.QUEUE, MESSAGES, iam_name="DeleteMessage"),
    Operation("sqs", "GetQueueAttributes", Capability.QUEUE, MESSAGES),
)
"""Every operation spotd sends; all of them only read, except for taking messages off its own queues."""

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {(each.service, each.name): each for each in FETCH}

"""The kinds of things companies run: the material that fleets are made of."""

from dataclasses import dataclass

LINUX = "ami-000000a1000000001"
LINUX_ARM = "ami-000000a1000000002"
UBUNTU = "ami-000000a1000000003"
UBUNTU_ARM = "ami-000000a1000000004"
EKS = "ami-000000a1000000005"
EKS_ARM = "ami-000000a1000000006"
WINDOWS = "ami-000000a1000000007"
DEEP_LEARNING = "ami-000000a1000000008"
LEGACY_PV = "ami-000000a1000000009"


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an instance is: percent at rest, percent added at the day's peak, percent of noise."""

    base: float
    swing: float
    noise: float


IDLE = Load(1.5, 1.0, 0.8)
LIGHT = Load(6.0, 9.0, 3.0)
STEADY = Load(28.0, 16.0, 5.0)
BUSY = Load(55.0, 20.0, 8.0)
BATCH = Load(18.0, 60.0, 12.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One kind of workload: what it runs on, how it is grouped, bought, tagged and used.

    `sizes` bounds the instances of one group; `weight` says how common it is; `spot` and `stopped` are shares.
    `grouping` is `asg`, `eks`, `kubernetes` or `single`.
    """

    name: str
    team: str
    types: tuple[str, ...]
    image: str
    load: Load
    weight: float
    sizes: tuple[int, int]
    grouping: str = "single"
    balanced: bool = False
    spot: float = 0.0
    stopped: float = 0.0
    managed: bool = True
    volumes: tuple[tuple[int, str], ...] = ((20, "gp3"),)


CATALOGUE = (
    Workload(
        name="storefront-web", team="web", types=("m5.large", "m5.xlarge", "m6i.large"), image=LINUX, load=STEADY,
        weight=4, sizes=(3, 8), grouping="asg", balanced=True,
    ),
    Workload(
        name="checkout-api", team="payments", types=("c5.large", "c6i.xlarge", "c5.xlarge"), image=LINUX, load=BUSY,
        weight=3, sizes=(3, 6), grouping="asg", balanced=True, spot=0.1,
    ),
    Workload(
        name="catalog-api", team="web", types=("m6g.large", "c7g.large", "c6g.xlarge"), image=LINUX_ARM, load=STEADY,
        weight=3, sizes=(2, 6), grouping="asg", balanced=True,
    ),
    Workload(
        name="image-resizer", team="media", types=("c5.2xlarge", "c6i.2xlarge", "c5a.2xlarge"), image=UBUNTU,
        load=BATCH, weight=2, sizes=(2, 6), grouping="asg", spot=0.9,
    ),
    Workload(
        name="nightly-etl", team="data", types=("r5.xlarge", "r6i.2xlarge", "m5.4xlarge"), image=UBUNTU, load=BATCH,
        weight=2, sizes=(2, 5), grouping="asg", spot=0.5, volumes=((50, "gp3"), (200, "gp3")),
    ),
    Workload(
        name="platform-eks", team="platform", types=("m5.xlarge", "m5a.xlarge", "m6i.xlarge"), image=EKS, load=STEADY,
        weight=3, sizes=(3, 8), grouping="eks", spot=0.3, volumes=((80, "gp3"),),
    ),
    Workload(
        name="graviton-eks", team="platform", types=("m7g.large", "r6g.large", "c7g.xlarge"), image=EKS_ARM, load=BUSY,
        weight=1.5, sizes=(2, 5), grouping="eks", spot=0.3, volumes=((80, "gp3"),),
    ),
    Workload(
        name="legacy-k8s", team="search", types=("r5.large", "m4.large", "r4.xlarge"), image=UBUNTU, load=STEADY,
        weight=1, sizes=(2, 4), grouping="kubernetes",
    ),
    Workload(
        name="ci-runner", team="devtools", types=("c5.4xlarge", "c6a.4xlarge", "m5.2xlarge"), image=UBUNTU, load=BATCH,
        weight=1.5, sizes=(2, 5), grouping="asg", spot=1.0, volumes=((100, "gp3"),),
    ),
    Workload(
        name="orders-db", team="payments", types=("r5.2xlarge", "r6i.xlarge", "r5.4xlarge"), image=LINUX, load=STEADY,
        weight=1.5, sizes=(1, 2), managed=False, volumes=((30, "gp3"), (500, "gp3")),
    ),
    Workload(
        name="session-cache", team="web", types=("r6g.large", "r5.large"), image=LINUX_ARM, load=LIGHT, weight=1,
        sizes=(1, 3),
    ),
    Workload(
        name="trainer", team="ml", types=("g4dn.xlarge", "g4dn.2xlarge", "g4dn.4xlarge"), image=DEEP_LEARNING,
        load=BATCH, weight=1, sizes=(1, 2), spot=0.3, volumes=((200, "gp3"),),
    ),
    Workload(
        name="bastion", team="platform", types=("t3.micro", "t3a.small", "t4g.small"), image=LINUX, load=IDLE,
        weight=1.5, sizes=(1, 1),
    ),
    Workload(
        name="internal-tool", team="devtools", types=("t3.medium", "t3.large", "t3a.large"), image=UBUNTU, load=LIGHT,
        weight=2, sizes=(1, 3), stopped=0.2,
    ),
    Workload(
        name="staging-box", team="web", types=("m5.large", "t3.xlarge", "m5.2xlarge"), image=LINUX, load=IDLE,
        weight=2, sizes=(1, 4), stopped=0.35,
    ),
    Workload(
        name="intranet-iis", team="corp-it", types=("m5.large", "t3.large", "m5.xlarge"), image=WINDOWS, load=LIGHT,
        weight=1, sizes=(1, 2), volumes=((100, "gp2"),),
    ),
    Workload(
        name="reporting", team="data", types=("m5.2xlarge", "i3.large", "m5d.xlarge"), image=LINUX, load=LIGHT,
        weight=1, sizes=(1, 3), volumes=((50, "gp3"), (300, "st1")),
    ),
    Workload(
        name="mail-relay", team="corp-it", types=("m3.medium", "m3.large"), image=LEGACY_PV, load=IDLE, weight=0.3,
        sizes=(1, 1), managed=False, volumes=((8, "standard"),),
    ),
)  # fmt: skip
"""Each archetype; arm64 types are matched with arm64 images when a fleet is generated."""

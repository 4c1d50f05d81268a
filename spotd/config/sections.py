"""Every option of the daemon, with its default, its meaning and why it is what it is.

Durations are seconds as floats. An option's kind says what is accepted for it; see `spotd.config.values`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from spotd.config import values
from spotd.config.values import OPTIONAL_TEXT, PATH, STORE_URL, SWITCH, Edges, Kind

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Where what the daemon knows is kept."""

    url: Annotated[str, STORE_URL] = ""
    """`sqlite:PATH` or `postgresql://…`. Default: `sqlite:<state_dir>/spotd.db`, which needs no other server."""

    pool_size: Annotated[int, values.whole(1, 200)] = 8
    """Most connections to Postgres, shared by everything in this daemon. 8 serves hundreds of accounts."""


@dataclass(frozen=True, kw_only=True)
class ApiConfig:
    """Where people and programs reach the daemon."""

    host: Annotated[str, Kind(values.text)] = "127.0.0.1"
    """Address to listen on. Loopback by default: the API speaks no TLS itself."""

    port: Annotated[int, values.whole(0, 65535)] = 8680
    """TCP port; 0 lets the system choose one, which the start-up log names."""

    socket: Annotated[Path | None, PATH] = None
    """Unix socket, for peers of the same user. Default: `<state_dir>/spotd.sock`."""

    allow_remote: Annotated[bool, SWITCH] = False
    """Allow a `host` that is not loopback. Off, because tokens would travel in clear without a TLS proxy."""

    allowed_hosts: Annotated[tuple[str, ...], values.many(values.text)] = ()
    """Names besides `host` and localhost by which clients may call this API: guards against DNS rebinding."""


@dataclass(frozen=True, kw_only=True)
class AwsConfig:
    """How AWS is called."""

    profile: Annotated[str | None, OPTIONAL_TEXT] = None
    """The daemon's own identity, a profile of the shared AWS files. Default: AWS's usual chain."""

    endpoint_url: Annotated[str | None, values.address("http", "https")] = None
    """One endpoint for every service, such as an emulator's. Default: AWS itself."""

    endpoints: Annotated[Mapping[str, str], values.table(values.web_url)] = field(default_factory=dict)
    """Endpoints by service (`ec2 = "https://…"`), for VPC endpoints and emulators; these win over `endpoint_url`."""

    regions: Annotated[tuple[str, ...], values.many(values.region)] = ()
    """Regions to look at. Default: every one an account has enabled."""

    home_region: Annotated[str, Kind(values.region)] = "us-east-1"
    """Where the list of regions is asked for and identities are proven. Another partition needs one of its own."""

    rate_share: Annotated[float, values.number(0.01, 1)] = 0.25
    """Share of AWS's published request rate that the daemon may use. A quarter leaves the rest to your own tools."""

    concurrency: Annotated[int, values.whole(1, 1000)] = 64
    """Most AWS calls under way at once, over all accounts: bounds memory and open connections."""

    connect_timeout: Annotated[float, values.duration(0.1, 60)] = 5.0
    """Seconds to reach an endpoint. Short: a region that is down must not hold the others' places."""

    request_timeout: Annotated[float, values.duration(0.5, 300)] = 30.0
    """Seconds to wait for an answer. Longer than the 20 s for which SQS holds an empty receive."""


@dataclass(frozen=True, kw_only=True)
class DiscoveryConfig:
    """How instances are found."""

    interval: Annotated[float, values.duration(1, DAY)] = 5 * MINUTE
    """Seconds between re-scans of one region of one account; spread so that they do not beat together."""

    first_deadline: Annotated[float, values.duration(1, DAY)] = 15 * MINUTE
    """Seconds in which an account's first discovery must be complete, or it fails. Throttling is retried until then."""

    concurrency: Annotated[int, values.whole(1, 500)] = 32
    """Most regions listed at once. Enough for all regions of one account side by side."""

    managed_tag: Annotated[str, values.matching(r"[^=]{1,128}=.{0,256}", "a tag as KEY=VALUE")] = "spotd:managed=true"
    """The tag by which an owner opts an instance in, as `KEY=VALUE`. Nothing else is ever recommended to move."""


@dataclass(frozen=True, kw_only=True)
class ThresholdsConfig:
    """Where each component stops being healthy and where it turns critical: `[degraded, critical]`."""

    database: Annotated[Edges, values.edges(timed=True)] = field(default=Edges(0.05, 0.2))
    """Seconds for one round trip. Slower than this the loops feel it."""

    redis: Annotated[Edges, values.edges()] = field(default=Edges(20, 50))
    """Entries waiting in the Redis stream."""

    k8s_watcher: Annotated[Edges, values.edges(timed=True)] = field(default=Edges(60, 120))
    """Age of the Kubernetes watcher's heartbeat, in seconds."""

    optimizer: Annotated[Edges, values.edges(timed=True)] = field(default=Edges(10 * MINUTE, 30 * MINUTE))
    """Seconds since the optimizer's last good run."""

    price_scraper: Annotated[Edges, values.edges()] = field(default=Edges(2, 6))
    """Age of the last good pass over prices, in multiples of `prices.interval`: one missed pass is no trouble."""

    risk_engine: Annotated[Edges, values.edges(timed=True)] = field(default=Edges(12 * HOUR, DAY))
    """Age of the risk engine's data, in seconds."""

    event_loop: Annotated[Edges, values.edges(timed=True)] = field(default=Edges(0.1, 1.0))
    """Longest recent stall of the event loop, in seconds. A tenth of one eats into the two minutes of a notice."""

    aws: Annotated[Edges, values.edges()] = field(default=Edges(0.001, 0.5))
    """Share of probed account-regions that did not answer. One of a thousand already shows."""

    events_backlog: Annotated[Edges, values.edges()] = field(default=Edges(100, 1000))
    """Events stored but not handled yet."""

    events_silence: Annotated[Edges, values.edges(timed=True)] = field(default=Edges(60, 180))
    """Seconds since a queue was last asked. Three missed receives of 20 s are trouble, an empty queue is not."""

    disk: Annotated[Edges, values.edges(falling=True)] = field(default=Edges(0.1, 0.03))
    """Free share of the file system that holds `state_dir`."""


@dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """How the daemon watches itself."""

    interval: Annotated[float, values.duration(1, HOUR)] = 30.0
    """Seconds between health checks."""

    check_timeout: Annotated[float, values.duration(0.05, 30)] = 0.8
    """Seconds one check may take. All run side by side, so a hung one still leaves all of them within a second."""

    thresholds: ThresholdsConfig = field(default_factory=ThresholdsConfig)
    """Where each component's states begin."""


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """What is recommended."""

    interval: Annotated[float, values.duration(1, DAY)] = 5 * MINUTE
    """Seconds between runs."""

    max_interruption_band: Annotated[int, values.whole(0, 4)] = 3
    """Worst Spot Advisor band accepted: 0 is under 5 % interrupted a month, 3 is 15–20 %, 4 is over 20 %."""

    min_saving_percent: Annotated[float, values.number(0, 100)] = 10.0
    """Least saving worth a recommendation, in percent of what is paid now."""

    spot_price_max_age: Annotated[float, values.duration(1)] = HOUR
    """Seconds after which Spot prices not confirmed by a good pass are too old to decide on."""

    on_demand_max_age: Annotated[float, values.duration(1)] = 7 * DAY
    """Seconds after which on-demand prices are too old to decide on. AWS changes them a few times a year."""

    advisor_max_age: Annotated[float, values.duration(1)] = 2 * DAY
    """Seconds after which interruption bands are too old to decide on. The feed itself changes daily."""

    recommendation_ttl: Annotated[float, values.duration(1)] = HOUR
    """Seconds a recommendation holds unless a later run renews it."""


@dataclass(frozen=True, kw_only=True)
class PricesConfig:
    """Where prices come from and how often."""

    interval: Annotated[float, values.duration(1, DAY)] = 10 * MINUTE
    """Seconds between passes over Spot prices."""

    advisor_url: Annotated[str, Kind(values.web_url)] = (
        "https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json"
    )
    """The Spot Advisor feed: AWS's public interruption bands."""

    advisor_interval: Annotated[float, values.duration(1)] = HOUR
    """Seconds between reads of that feed."""

    on_demand_interval: Annotated[float, values.duration(1)] = DAY
    """Seconds between reads of on-demand prices and of instance types."""

    cpu_interval: Annotated[float, values.duration(1)] = DAY
    """Seconds between reads of CPU use. Daily, because CloudWatch charges for each metric asked for."""

    history: Annotated[float, values.duration(60, 90 * DAY)] = DAY
    """Seconds of price history read for a pool seen for the first time; AWS keeps 90 days."""


@dataclass(frozen=True, kw_only=True)
class K8sConfig:
    """The Kubernetes watcher."""

    enabled: Annotated[bool, SWITCH] = False
    """Whether a Kubernetes watcher reports its heartbeat to this daemon's store."""


@dataclass(frozen=True, kw_only=True)
class EventsConfig:
    """Where AWS's events arrive."""

    queues: Annotated[tuple[str, ...], values.many(values.web_url)] = ()
    """URLs of the SQS queues that EventBridge, SNS or Auto Scaling feed."""

    receivers: Annotated[int, values.whole(1, 32)] = 2
    """Receivers per queue: while one stores its messages the other waits for more."""

    redis_url: Annotated[str | None, values.address("rediss", "unix", "redis")] = None
    """A Redis whose stream is watched. Default: none, the daemon's own store is the queue."""

    redis_stream: Annotated[str, Kind(values.text)] = "spotd:events"
    """Name of that stream."""

    signing_secret_file: Annotated[Path | None, PATH] = None
    """File (0400 or 0600) with the secret that signs `POST /events`. Default: only tokens are accepted."""


@dataclass(frozen=True, kw_only=True)
class ExecutionConfig:
    """Acting on AWS."""

    enabled: Annotated[bool, SWITCH] = False
    """Whether anything that changes AWS may be sent. Off is read-only mode, rescue included."""


@dataclass(frozen=True, kw_only=True)
class MlConfig:
    """The trained risk model."""

    enabled: Annotated[bool, SWITCH] = False
    """Whether a trained model is served."""


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """What the daemon itself may cost."""

    aws_api_usd_month: Annotated[float, values.number(0, 1_000_000)] = 10.0
    """US dollars a month that AWS may charge for being asked (CloudWatch metrics). 0 asks for nothing that costs."""


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """What is logged."""

    level: Annotated[str, values.one_of("debug", "info", "warning", "error")] = "info"
    """Least level that is written."""

    format: Annotated[str, values.one_of("auto", "console", "json")] = "auto"
    """`auto` is console on a terminal and JSON otherwise."""


@dataclass(frozen=True, kw_only=True)
class RetentionConfig:
    """How long the store keeps what it no longer needs, in seconds."""

    logs: Annotated[float, values.duration(HOUR)] = 30 * DAY
    """Rows of `system_logs`."""

    events: Annotated[float, values.duration(HOUR)] = 90 * DAY
    """Handled events. As long as a replay of last quarter may want them."""

    quarantine: Annotated[float, values.duration(HOUR)] = 90 * DAY
    """Messages that could not be understood."""

    health: Annotated[float, values.duration(HOUR)] = 90 * DAY
    """Changes of a component's state."""

    prices: Annotated[float, values.duration(HOUR)] = 90 * DAY
    """Spot price history; AWS keeps as long."""

    recommendations: Annotated[float, values.duration(HOUR)] = 90 * DAY
    """Recommendations that were superseded or expired."""

    instances: Annotated[float, values.duration(HOUR)] = 90 * DAY
    """Instances that are gone."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole configuration; what a section's default leaves open is filled in from `state_dir`."""

    state_dir: Annotated[Path, PATH]
    """Where the daemon keeps its state. Default: `$STATE_DIRECTORY`, else `~/.local/state/spotd`."""

    store: StoreConfig = field(default_factory=StoreConfig)
    api: ApiConfig = field(default_factory=ApiConfig)
    aws: AwsConfig = field(default_factory=AwsConfig)
    discovery: DiscoveryConfig = field(default_factory=DiscoveryConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    prices: PricesConfig = field(default_factory=PricesConfig)
    k8s: K8sConfig = field(default_factory=K8sConfig)
    events: EventsConfig = field(default_factory=EventsConfig)
    execution: ExecutionConfig = field(default_factory=ExecutionConfig)
    ml: MlConfig = field(default_factory=MlConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    log: LogConfig = field(default_factory=LogConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)

    notify: Annotated[Mapping[str, Any], values.table(values.anything)] = field(default_factory=dict)
    """Outgoing notifications, by channel. Kept as it is: the channels check their own options."""

    def __post_init__(self) -> None:
        if not self.store.url:
            object.__setattr__(self, "store", replace(self.store, url=f"sqlite:{self.state_dir / 'spotd.db'}"))
        if self.api.socket is None:
            object.__setattr__(self, "api", replace(self.api, socket=self.state_dir / "spotd.sock"))

"""The composition root: everything long-lived, in the order it is built.

Nothing else opens a store, a way to AWS or a listener. A reload builds everything anew from the new configuration,
so that every option takes effect and none half.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
import structlog

from spotd.api.server import ApiServer, Listen, create_app
from spotd.api.services import Services
from spotd.api.tokens import ensure_admin_token
from spotd.aws.queue import Queue
from spotd.aws.session import AccountSession, Aws
from spotd.changes import Changes
from spotd.clock import Clock, SystemClock
from spotd.config import Config, ConfigError, flattened
from spotd.crypto import KeyRing, create_key_file, locate, read_secret
from spotd.errors import WrongKey
from spotd.log import configure
from spotd.loops.discovery import Discovery
from spotd.loops.events import Effects, EventConsumer, Intake
from spotd.loops.events.receiving import Receiver
from spotd.loops.health.gauges import Gauges
from spotd.loops.health.measures import RedisStream
from spotd.loops.health.monitor import HealthMonitor
from spotd.loops.health.probe import AwsProbe
from spotd.loops.janitor import Janitor
from spotd.loops.lag import LoopLag
from spotd.loops.onboarding import Onboarding
from spotd.loops.optimizer import Optimizer
from spotd.loops.prices import PriceScraper, PricesResult
from spotd.loops.rescan import PATIENCE, SCAN_DEADLINE, Rescanner
from spotd.loops.supervisor import Loop, Supervisor, settled
from spotd.loops.watchdog import Notifier, Watchdog
from spotd.model.account import Account
from spotd.store import meta
from spotd.store.db import Database, database_path, open_database
from spotd.store.lock import exclusive
from spotd.store.logs import LogWriter
from spotd.store.schema import migrate

log = structlog.get_logger(__name__)

FIRST_DISCOVERIES = 4
"""Accounts onboarded side by side."""
RESCANS = 16
"""Scopes scanned side by side: 100 accounts of 17 regions every five minutes keep about three busy."""
PLAN_PERIOD = 10.0


@dataclass(frozen=True, kw_only=True)
class Base:
    """What the daemon and a Python shell both stand on."""

    config: Config
    clock: Clock
    keyring: KeyRing
    db: Database
    aws: Aws


class Outside(NamedTuple):
    """Connections to what is neither AWS nor the store."""

    http: aiohttp.ClientSession
    redis: RedisStream | None


class Ready(NamedTuple):
    """What a person is told once the daemon serves."""

    url: str
    socket: Path | None
    token_file: Path


@asynccontextmanager
async def built(config: Config) -> "AsyncIterator[Daemon]":
    """Open the store and AWS and build every part for a call or two; nothing runs by itself."""
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(opened(config))
        yield await Daemon.build(base, stack)


@asynccontextmanager
async def opened(
    config: Config, *, clock: Clock | None = None, environ: Mapping[str, str] = os.environ
) -> AsyncIterator[Base]:
    """Open store, key and AWS from the configuration; close them in reverse.

    Raises StoreUnavailable, SchemaTooNew, WrongKey, UnsafeFile.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        db = await open_database(config.store.url, pool_size=config.store.pool_size)
        stack.push_async_callback(db.close)
        await migrate(db, now=clock.now())
        keyring = await fitting_key(config, db, environ)
        aws = await stack.enter_async_context(Aws(config.aws, clock))
        yield Base(config=config, clock=clock, keyring=keyring, db=db, aws=aws)


async def fitting_key(config: Config, db: Database, environ: Mapping[str, str]) -> KeyRing:
    """Return the master key, proven by the stored canary; on SQLite the first start makes one.

    Raises WrongKey for a key that does not open what is stored, and where one is missing.
    """
    canary = await meta.get(db, "canary")
    if locate(config.state_dir, environ) is None:
        _make_key(config, is_new=canary is None)
    found = locate(config.state_dir, environ)
    assert found is not None, "the key was just made"
    if found.exposed:
        log.warning("keys.exposed", source=found.source, fix="use a systemd credential or a 0400 file")
    if canary is None:
        await meta.put(db, "canary", found.ring.canary())
    else:
        found.ring.check_canary(canary)
    return found.ring


def _make_key(config: Config, *, is_new: bool) -> None:
    where = config.state_dir / "master.key"
    if not is_new:
        raise WrongKey(f"no master key at {where}: put the one this database was made with there")
    if database_path(config.store.url) is None:
        raise WrongKey("no master key: make one with `spotd keys generate --config F`, the same for every daemon")
    create_key_file(config.state_dir)


async def run(
    config: Config,
    *,
    load: Callable[[], Config] | None = None,
    on_ready: Callable[[Ready], None] = lambda _: None,
) -> int:
    """Run the daemon until SIGTERM or SIGINT; return the process's exit code.

    `load` reads the configuration anew for SIGHUP and `POST /reload`. Raises what makes a start impossible:
    StateInUse, WrongKey, SchemaTooNew, StoreUnavailable, InvalidInput, OSError for an address in use.
    """
    current: Config | None = config
    while current is not None:
        current = await _serve(current, load or partial(_same, current), on_ready)
    return 0


def _same(config: Config) -> Config:
    return config


async def _serve(config: Config, load: Callable[[], Config], on_ready: Callable[[Ready], None]) -> Config | None:
    """Build everything, run it until told to stop, take it down in reverse; return what to reload to, if anything."""
    logs = configure(config.log.level, config.log.format)
    config.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    notifier = Notifier()
    async with AsyncExitStack() as stack:
        if (path := database_path(config.store.url)) is not None:
            stack.enter_context(exclusive(path))
        base = await stack.enter_async_context(opened(config))
        daemon = await Daemon.build(base, stack, load)
        stack.callback(logs.detach)
        logs.attach(daemon.log_writer.write)
        daemon.feed(notifier)
        daemon.lag.start()
        stack.callback(daemon.lag.stop)
        await daemon.health.run_all_health_checks()
        server = await daemon.listen(stack)
        stack.enter_context(on_signals(daemon.stop, daemon.reload_on_signal))
        notifier.send(READY=1, STATUS=f"serving at {server.url}")
        on_ready(Ready(server.url, config.api.socket, config.state_dir / "admin.token"))
        await daemon.supervisor.run()
        notifier.send(**({"RELOADING": 1} if daemon.reload_to else {"STOPPING": 1}))
        log.info("daemon.reloading" if daemon.reload_to else "daemon.stopping")
    return daemon.reload_to


class Daemon:
    """Every part of the daemon, and what the API may ask of them; nothing runs before its supervisor does."""

    def __init__(self, base: Base, outside: Outside, load: Callable[[], Config]) -> None:
        self.base = base
        self.reload_to: Config | None = None
        self._load = load
        self._draining = False
        config, db, clock = base.config, base.db, base.clock
        self.changes = Changes(clock=clock)
        self.supervisor = Supervisor()
        self.log_writer = LogWriter(db, clock=clock)
        self.lag = LoopLag()
        self.events = self._event_consumer()
        self.health = HealthMonitor(
            db=db, config=config, clock=clock, changes=self.changes, gauges=self._gauges(outside)
        )
        self.prices = PriceScraper(
            db=db,
            sessions=self._session,
            http=outside.http,
            config=config.prices,
            budget_usd=config.budget.aws_api_usd_month,
            clock=clock,
            changes=self.changes,
        )
        self.optimizer = Optimizer(db=db, config=config.optimizer, clock=clock, changes=self.changes)
        self.discovery = Discovery(
            db=db,
            aws=base.aws,
            keyring=base.keyring,
            config=config.discovery,
            clock=clock,
            changes=self.changes,
            first_look=self.prices.first_scan,
            check_health=self.health.run_all_health_checks,
            on_active=partial(self.supervisor.wake, "prices"),
        )
        self.rescanner = Rescanner(
            db=db, discovery=self.discovery, config=config.discovery, clock=clock, changes=self.changes
        )
        self.onboarding = Onboarding(
            db=db,
            aws=base.aws,
            keyring=base.keyring,
            clock=clock,
            changes=self.changes,
            wake=partial(self.supervisor.wake, "discovery_plan"),
        )
        self.janitor = Janitor(db=db, writer=self.log_writer, config=config.retention, clock=clock)
        for loop in self._loops():
            self.supervisor.add(loop)

    @classmethod
    async def build(cls, base: Base, stack: AsyncExitStack, load: Callable[[], Config] | None = None) -> Self:
        """Connect to the outside and build every part; `stack` closes what was opened."""
        http = await stack.enter_async_context(aiohttp.ClientSession())
        redis = redis_of(base.config)
        if redis is not None:
            await stack.enter_async_context(redis)
        daemon = cls(base, Outside(http, redis), load or partial(_same, base.config))
        stack.push_async_callback(daemon.janitor.finish)
        return daemon

    def feed(self, notifier: Notifier) -> None:
        """Feed the service manager's watchdog, if it has one."""
        if period := notifier.watchdog_seconds / 3:
            watchdog = Watchdog(notifier, self.supervisor.overdue)
            self.supervisor.add(Loop(name="watchdog", tick=watchdog.tick, period=period, deadline=period))

    async def listen(self, stack: AsyncExitStack) -> ApiServer:
        """Start the control API, and stop it before anything it reads from."""
        config = self.base.config
        await ensure_admin_token(self.base.db, config.state_dir, self.base.clock)
        api = config.api
        listen = Listen(host=api.host, port=api.port, socket=api.socket, allow_remote=api.allow_remote)
        server = ApiServer(create_app(self._services()), listen)
        await server.start()
        stack.push_async_callback(server.stop)
        stack.callback(self.changes.close)
        return server

    def stop(self) -> None:
        """Answer `/readyz` with 503, let running ticks have their grace, end."""
        self._draining = True
        self.supervisor.stop()

    def reload_on_signal(self) -> None:
        """Start anew with the configuration as it is now; one that is not valid is logged and the old one stays."""
        try:
            self.reload_to = self._load()
        except ConfigError as error:
            log.warning("daemon.reload_refused", problems=[str(problem) for problem in error.problems])
            return
        self.stop()

    async def reload(self) -> Mapping[str, Any]:
        """Check the configuration as it is now and start anew with it; returns the options that changed.

        Raises ConfigError, after which the old configuration goes on.
        """
        fresh = await asyncio.to_thread(self._load)
        before, after = dict(flattened(self.base.config)), dict(flattened(fresh))
        changed = sorted(name for name in after if after[name] != before.get(name))
        if changed:
            self.reload_to = fresh
            asyncio.get_running_loop().call_later(0.2, self.stop)
        return {"reloaded": bool(changed), "changed": changed}

    def _services(self) -> Services:
        base = self.base
        secret = base.config.events.signing_secret_file
        return Services(
            db=base.db,
            clock=base.clock,
            changes=self.changes,
            onboarding=self.onboarding,
            discover=self._discover,
            tick_now=self.supervisor.tick_now,
            reload=self.reload,
            ingest=self.events.ingest,
            health=lambda: self.health.components,
            pulses=lambda: self.supervisor.pulses,
            metrics=lambda: {**self.events.snapshot(), **self.lag.snapshot(), **self.janitor.snapshot()},
            breakers=lambda: [str(breaker) for breaker in base.aws.breakers()],
            unready=lambda: ["draining"] if self._draining else [],
            side_by_side=settled,
            version=version("spotd"),
            health_interval=base.config.health.interval,
            allowed_hosts=frozenset({base.config.api.host, *base.config.api.allowed_hosts}),
            signing_secret=read_secret(secret).strip() if secret else None,
        )

    async def _session(self, account: Account) -> AccountSession:
        return await self.discovery.get_session_for_account(account)

    async def _scrape(self) -> PricesResult:
        """Read the prices that are due, and let the optimizer see what is new."""
        result = await self.prices.tick()
        if result.read:
            self.supervisor.wake("optimizer")
        return result

    async def _discover(self, account: Account) -> None:
        await self.rescanner.request_rediscovery(account.id)

    def _event_consumer(self) -> EventConsumer:
        base, config = self.base, self.base.config.events
        intake = Intake(
            db=base.db, clock=base.clock, changes=self.changes, wake=partial(self.supervisor.wake, "events")
        )
        receivers = [Receiver(Queue(base.aws.own(), url), intake) for url in config.queues]
        tag = base.config.discovery.managed_tag
        effects = Effects(db=base.db, sessions=self._session, clock=base.clock, managed_tag=tag)
        return EventConsumer(intake=intake, effects=effects, receivers=receivers, receivers_per_queue=config.receivers)

    def _gauges(self, outside: Outside) -> Gauges:
        base = self.base
        home = base.aws.own().home_region
        return Gauges(
            probe=AwsProbe(db=base.db, sessions=self._session, clock=base.clock, home=home),
            lag=self.lag,
            redis=outside.redis,
            queues=self.events.queues,
            breakers=base.aws.breakers,
        )

    def _loops(self) -> Iterator[Loop]:
        config = self.base.config
        yield from self.health.loops()
        yield from self.events.loops()
        yield from self.janitor.loops()
        yield Loop(name="prices", tick=self._scrape, period=config.prices.interval, deadline=600)
        yield Loop(name="optimizer", tick=self.optimizer.tick, period=config.optimizer.interval, deadline=300)
        yield Loop(name="discovery_plan", tick=self.rescanner.plan, period=PLAN_PERIOD, deadline=30)
        first_deadline = PATIENCE + config.discovery.first_deadline + 60
        for number in range(FIRST_DISCOVERIES):
            yield Loop(
                name=f"onboarding {number}", tick=self.rescanner.discover_next, period=0, deadline=first_deadline
            )
        for number in range(RESCANS):
            tick = self.rescanner.rescan_next
            yield Loop(name=f"discovery {number}", tick=tick, period=0, deadline=PATIENCE + SCAN_DEADLINE + 30)


def redis_of(config: Config) -> RedisStream | None:
    """Return the gauge of the configured Redis stream, if there is one."""
    events = config.events
    if events.redis_url is None:
        return None
    return RedisStream(events.redis_url, stream=events.redis_stream, timeout=config.health.check_timeout)


@contextmanager
def on_signals(stop: Callable[[], None], reload: Callable[[], None]) -> Iterator[None]:
    """Stop on SIGTERM and SIGINT, reload on SIGHUP, while the block runs."""
    loop = asyncio.get_running_loop()
    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)

"""Dependencies that fail for real: servers stopped and paused, an AWS that does not answer, a loop that is blocked."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from spotd.aws.credentials import KeyCredentials
from spotd.aws.session import AccountSession, Aws
from spotd.changes import Changes
from spotd.clock import SystemClock
from spotd.config import AwsConfig, Config, EventsConfig
from spotd.loops.health import AwsProbe, Gauges, HealthMonitor
from spotd.loops.health.measures import Disk, RedisStream
from spotd.loops.lag import LoopLag
from spotd.loops.supervisor import settled
from spotd.model.account import AccessKeys, Account, Status
from spotd.model.health import ComponentState
from spotd.store import accounts, scopes
from spotd.store.db import open_database
from spotd.store.schema import migrate
from tests.aws.fakes import Answer, FakeAws, Seen, fake_aws, refusal, regions
from tests.loops.health.conftest import UNHURRIED, World
from tests.servers import PostgresServer, ValkeyServer

HEALTHY, DEGRADED, CRITICAL = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.CRITICAL
CYCLE = [("healthy", "degraded"), ("degraded", "critical"), ("critical", "healthy")]


async def states(monitor: HealthMonitor, name: str) -> ComponentState:
    return (await monitor.run_all_health_checks())[name].status


def stream_of(server: ValkeyServer, config: EventsConfig) -> RedisStream:
    return RedisStream(server.url, stream=config.redis_stream, timeout=0.5)


async def test_redis_is_judged_by_the_length_of_its_stream(world: World, valkey_server: ValkeyServer) -> None:
    """19 entries are healthy, 20 and 49 degraded, 50 critical, and an emptied stream heals."""
    name = world.config.events.redis_stream
    seen = []
    async with Redis.from_url(valkey_server.url) as client, stream_of(valkey_server, world.config.events) as stream:
        monitor = world.monitor(redis=stream)
        for number in (19, 1, 29, 1):
            for _ in range(number):
                await client.xadd(name, {"event": "{}"})
            seen.append(await states(monitor, "redis"))
        await client.delete(name)
        seen.append(await states(monitor, "redis"))

    assert seen == [HEALTHY, DEGRADED, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows("redis") == CYCLE


async def test_redis_that_cannot_be_reached_is_critical_until_it_is_back(
    world: World, valkey_server: ValkeyServer
) -> None:
    """A stopped server is critical and says so; the same connection pool finds it again."""
    async with stream_of(valkey_server, world.config.events) as stream:
        monitor = world.monitor(redis=stream)
        seen = [await states(monitor, "redis")]
        await asyncio.to_thread(valkey_server.stop)
        seen.append(await states(monitor, "redis"))
        assert "does not answer" in monitor.components["redis"].details["error"]
        await asyncio.to_thread(valkey_server.start)
        seen.append(await states(monitor, "redis"))

    assert seen == [HEALTHY, CRITICAL, HEALTHY]


async def test_a_hung_redis_is_critical_and_delays_nobody(world: World, valkey_server: ValkeyServer) -> None:
    """All checks together stay below a second."""
    async with RedisStream(valkey_server.url, stream="s", timeout=10) as stream:
        monitor = world.monitor(redis=stream)
        await monitor.run_all_health_checks()
        valkey_server.pause()
        began = time.monotonic()
        found = await monitor.run_all_health_checks()
        took = time.monotonic() - began
        valkey_server.resume()

    assert took < 1
    assert found["redis"].status is CRITICAL
    assert found["redis"].details["error"] == "timed out"
    assert found["database"].status is HEALTHY
    assert await world.rows("redis") == [("healthy", "critical")]


async def test_a_hung_store_is_critical_and_delays_nobody(world: World) -> None:
    """All checks together stay below a second; the disk is judged as ever."""
    monitor = world.monitor()
    await monitor.run_all_health_checks()
    world.store.trouble.hung = True
    began = time.monotonic()
    found = await monitor.run_all_health_checks()

    assert time.monotonic() - began < 1
    assert found["database"].status is CRITICAL
    assert found["database"].details == {"error": "timed out"}
    assert found["disk"].status is HEALTHY


async def test_a_postgres_that_hangs_or_stops_is_critical_until_it_is_back(
    postgres_server: PostgresServer, fresh_postgres_url: str, tmp_path: Path
) -> None:
    """The real server, paused and stopped under a live pool, each time within a second."""
    clock = SystemClock()
    db = await open_database(fresh_postgres_url, pool_size=4)
    try:
        await migrate(db, now=clock.now())
        monitor = HealthMonitor(
            db=db, config=Config(state_dir=tmp_path, health=UNHURRIED), clock=clock, changes=Changes()
        )
        seen, longest = [await states(monitor, "database")], 0.0
        for fault, cure in (
            (postgres_server.pause, postgres_server.resume),
            (postgres_server.stop, postgres_server.start),
        ):
            await asyncio.to_thread(fault)
            began = time.monotonic()
            seen.append(await states(monitor, "database"))
            longest = max(longest, time.monotonic() - began)
            await asyncio.to_thread(cure)
            seen.append(await states(monitor, "database"))
        await monitor.run_all_health_checks()
        told = await db.fetch("SELECT message FROM system_logs WHERE message LIKE 'database:%' ORDER BY id")
    finally:
        await db.close()

    assert longest < 1
    assert seen == [HEALTHY, CRITICAL, HEALTHY, CRITICAL, HEALTHY]
    assert [row["message"] for row in told] == ["database: healthy → critical", "database: critical → healthy"] * 2


async def test_a_hung_disk_is_critical_and_delays_nobody(world: World) -> None:
    """A file system that does not answer is no reason to wait."""

    async def hangs(_folder: Path) -> Disk:
        await asyncio.Event().wait()
        raise AssertionError

    began = time.monotonic()
    found = await world.monitor(room=hangs).run_all_health_checks()

    assert time.monotonic() - began < 1
    assert found["disk"].status is CRITICAL


async def test_the_real_disk_is_measured(world: World, tmp_path: Path) -> None:
    """Without a stand-in the state directory's own file system counts, also before the directory exists."""
    gauges, config = Gauges(), replace(world.config, state_dir=tmp_path / "not" / "there")
    room = await gauges.room(config.state_dir)

    assert 0 <= room.free <= room.total
    assert room.total > 0


async def test_a_blocked_loop_degrades_turns_critical_and_heals(world: World) -> None:
    """A stall over a tenth of a second and one over a whole one each show, with the task that did it."""
    lag = LoopLag(beat=0.01, stall=0.05, window=0.3)
    lag.start()
    try:
        monitor = world.monitor(lag=lag)
        await settle(lag)
        seen = [await states(monitor, "event_loop")]
        for seconds in (0.25, 1.1):
            await settled([block(seconds)], limit=1)
            seen.append(await states(monitor, "event_loop"))
        await settle(lag)
        seen.append(await states(monitor, "event_loop"))
    finally:
        lag.stop()

    assert seen == [HEALTHY, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows("event_loop") == CYCLE
    details = await world.db.fetch("SELECT details FROM system_logs WHERE message LIKE 'event_loop: degraded%'")
    assert "in block" in details[0]["details"]


async def settle(lag: LoopLag) -> None:
    while lag.longest() >= 0.05:  # noqa: ASYNC110 - time itself is waited for
        await asyncio.sleep(0.02)


async def block(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - the stall under test
    await asyncio.sleep(0.03)


# --- AWS ---------------------------------------------------------------------


class Cloud:
    """A fake AWS with accounts in it, of which a test refuses or holds some."""

    def __init__(self, fake: FakeAws, aws: Aws, world: World) -> None:
        self.fake, self.aws, self.world = fake, aws, world
        self.refused: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        fake.on("DescribeRegions", self.answer)

    async def answer(self, seen: Seen) -> Answer:
        """Answer as the test wants it."""
        await self.open.wait()
        if {seen.access_key, seen.region} & self.refused:
            return refusal("UnauthorizedOperation", status=403)
        return regions(seen.region)

    async def session_for(self, account: Account) -> AccountSession:
        """Return the session that signs as an account."""
        keys = AccessKeys(access_key_id=f"AK{account.account_id}", secret_access_key="secret")
        return self.aws.session_for(account.account_id, keys)

    async def onboard(self, account_id: str, *names: str) -> None:
        """Store a connected account with scopes in these regions."""
        db, now = self.world.db, self.world.clock.now()
        account = await accounts.create_pending(db, account_id=account_id, name="a", external_id=None, now=now)
        await accounts.transition(db, account.id, Status.CONNECTED, now=now)
        for name in names:
            await scopes.begin(db, account.id, name, now=now)

    def probe(self) -> AwsProbe:
        """Return a probe of this cloud."""
        return AwsProbe(
            db=self.world.store, sessions=self.session_for, clock=self.world.clock, home="us-east-1", patience=0.9
        )


@asynccontextmanager
async def clouds(world: World) -> AsyncIterator[Cloud]:
    own = KeyCredentials(AccessKeys(access_key_id="OWN", secret_access_key="own"))
    async with fake_aws() as fake:
        config = AwsConfig(endpoint_url=fake.endpoint, connect_timeout=1.0, request_timeout=2.0, rate_share=1.0)
        async with Aws(config, world.clock, own=own) as aws:
            yield Cloud(fake, aws, world)


@pytest.fixture
async def cloud(world: World) -> AsyncIterator[Cloud]:
    async with clouds(world) as made:
        yield made


async def test_without_accounts_there_is_no_aws_to_reach(cloud: Cloud) -> None:
    """Nothing to probe is healthy and off, and asks AWS nothing."""
    monitor = cloud.world.monitor(probe=cloud.probe())
    found = await monitor.run_all_health_checks()

    assert found["aws"].status is HEALTHY
    assert not found["aws"].enabled
    assert cloud.fake.seen == []


async def test_each_check_asks_every_account_and_region_and_judges_by_the_share_lost(cloud: Cloud) -> None:
    """One of four unreachable degrades, half of them are critical, and answers heal."""
    for number in range(4):
        await cloud.onboard(f"{number}" * 12, "us-east-1", "eu-west-1")
    monitor, seen = cloud.world.monitor(probe=cloud.probe()), []
    await warm(cloud)

    for refused in (set[str](), {"AK" + "0" * 12}, {"AK" + "0" * 12, "AK" + "1" * 12}, set[str]()):
        cloud.refused = refused
        seen.append(await states(monitor, "aws"))

    assert seen == [HEALTHY, DEGRADED, CRITICAL, HEALTHY]
    assert await cloud.world.rows("aws") == CYCLE
    assert monitor.components["aws"].details["probed"] >= 4
    asked = cloud.fake.calls("DescribeRegions")
    assert {call.access_key for call in asked} == {f"AK{str(n) * 12}" for n in range(4)}
    assert {call.region for call in asked} == {"us-east-1", "eu-west-1"}


async def test_the_failing_account_region_is_named(cloud: Cloud) -> None:
    """A person reads at once who cannot reach what, and why."""
    await cloud.onboard("1" * 12, "us-east-1", "eu-west-1")
    await warm(cloud)
    cloud.refused = {"eu-west-1"}
    found = await cloud.world.monitor(probe=cloud.probe()).run_all_health_checks()

    [failing] = found["aws"].details["failing"]
    assert failing["account_id"] == "1" * 12
    assert failing["region"] == "eu-west-1"
    assert "UnauthorizedOperation" in failing["error"]


async def test_an_aws_that_hangs_delays_nobody_and_is_critical_by_the_next_round(cloud: Cloud) -> None:
    """The check itself returns within a second; the probe's own loop, more patient, finds out."""
    await cloud.onboard("1" * 12, "us-east-1")
    await warm(cloud)
    probe = cloud.probe()
    monitor = cloud.world.monitor(probe=probe)
    assert await states(monitor, "aws") is HEALTHY

    cloud.open.clear()
    began = time.monotonic()
    await monitor.run_all_health_checks()
    assert time.monotonic() - began < 1

    await probe.tick()
    assert await states(monitor, "aws") is CRITICAL
    cloud.open.set()


async def warm(cloud: Cloud) -> None:
    """Let the clients be made before the clock of a check runs."""
    for region in ("us-east-1", "eu-west-1"):
        await cloud.aws.session_for("9" * 12, AccessKeys(access_key_id="AKW", secret_access_key="s")).call(
            "ec2", region, "DescribeRegions"
        )
    cloud.fake.seen.clear()

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from spotd.changes import Change
from spotd.config import HealthConfig, K8sConfig, MlConfig
from spotd.log import Row
from spotd.loops.health import HealthMonitor, QueueState, run_all_health_checks
from spotd.loops.health.measures import Disk
from spotd.loops.health.probe import PATIENCE
from spotd.model import fleet
from spotd.model.event import Event, Outcome, Verdict
from spotd.model.health import ComponentHealth, ComponentState
from spotd.store import health, heartbeats, inbox, logs, models, passes
from spotd.store.models import ModelState
from tests.loops.health.conftest import World

HEALTHY, DEGRADED, CRITICAL = ComponentState.HEALTHY, ComponentState.DEGRADED, ComponentState.CRITICAL
CONTRACT = ["database", "redis", "k8s_watcher", "optimizer", "price_scraper", "risk_engine", "ml_inference"]
OURS = ["event_loop", "aws", "events", "disk"]
CYCLE = [("healthy", "degraded"), ("degraded", "critical"), ("critical", "healthy")]
LONG = 7 * 24 * 3600.0
"""Seconds after which nothing is starting any more."""


async def states(monitor: HealthMonitor, name: str) -> ComponentState:
    return (await monitor.run_all_health_checks())[name].status


async def test_every_component_is_there_with_every_field(world: World) -> None:
    """All eleven report, in the contract's order, whatever is configured; what is not, says so."""
    found = await world.monitor().run_all_health_checks()

    assert list(found) == [*CONTRACT, *OURS]
    assert all(isinstance(each, ComponentHealth) for each in found.values())
    assert {name for name, each in found.items() if not each.enabled} == {"redis", "risk_engine", "event_loop", "aws"}
    assert all(found[name].status is HEALTHY and found[name].details == {} for name in ("redis", "risk_engine"))
    assert {each.checked_at for each in found.values()} == {world.clock.now()}


async def test_what_has_not_run_since_the_start_is_starting_and_no_alert(world: World) -> None:
    """For two intervals it is degraded and says why; only then it counts."""
    monitor = world.monitor()
    found = await monitor.run_all_health_checks()
    for name in ("optimizer", "price_scraper", "k8s_watcher"):
        assert found[name].status is DEGRADED
        assert found[name].details["starting"] is True
        assert await world.rows(name) == []

    world.clock.forward(2 * world.config.prices.interval)
    found = await monitor.run_all_health_checks()

    assert found["optimizer"].status is DEGRADED
    assert "starting" not in found["optimizer"].details
    assert await world.rows("optimizer") == [("healthy", "degraded")]
    assert await world.rows("price_scraper") == [("healthy", "critical")]


async def test_the_watcher_passes_through_its_states_at_the_contracts_edges(world: World) -> None:
    """59 s healthy, 61 s and 119 s degraded, 121 s critical, a heartbeat heals; each change is one row."""
    monitor = world.monitor()
    await heartbeats.beat(world.db, "k8s_watcher", at=world.clock.now())

    seen = []
    for seconds in (59, 2, 58, 2, 1):
        world.clock.forward(seconds)
        seen.append(await states(monitor, "k8s_watcher"))
    await heartbeats.beat(world.db, "k8s_watcher", at=world.clock.now())
    seen.append(await states(monitor, "k8s_watcher"))

    assert seen == [HEALTHY, DEGRADED, DEGRADED, CRITICAL, CRITICAL, HEALTHY]
    assert await world.rows("k8s_watcher") == CYCLE


@pytest.mark.parametrize(
    ("component", "source", "degraded", "critical"),
    [("optimizer", fleet.OPTIMIZER, 600, 1800), ("price_scraper", fleet.PRICES, 1200, 3600)],
)
async def test_a_loops_last_good_pass_grows_old(
    world: World, component: str, source: str, degraded: float, critical: float
) -> None:
    """A second before each edge the better state holds, at the edge the worse; the next good pass heals."""
    monitor = world.monitor()
    await passes.succeeded(world.db, source, now=world.clock.now())

    seen, elapsed = [], 0.0
    for seconds in (degraded - 1, degraded, critical - 1, critical):
        world.clock.forward(seconds - elapsed)
        elapsed = seconds
        seen.append(await states(monitor, component))
    await passes.succeeded(world.db, source, now=world.clock.now())
    seen.append(await states(monitor, component))

    assert seen == [HEALTHY, DEGRADED, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows(component) == CYCLE


async def test_a_feed_that_changes_its_shape_degrades_prices(world: World) -> None:
    """However fresh the pass as a whole is; the feed is named, and its old shape heals."""
    monitor, now = world.monitor(), world.clock.now()
    await passes.succeeded(world.db, fleet.PRICES, now=now)
    await passes.failed(world.db, fleet.ADVISOR, error="no `spot_advisor`", now=now, misshapen=True)

    found = (await monitor.run_all_health_checks())["price_scraper"]
    assert found.status is DEGRADED
    assert found.details["misshapen"] == [fleet.ADVISOR]

    await passes.succeeded(world.db, fleet.ADVISOR, now=now)
    assert await states(monitor, "price_scraper") is HEALTHY


async def test_a_source_of_prices_that_keeps_failing_shows_though_others_are_read(world: World) -> None:
    """One failed pass is no trouble, two intervals without a good one are; a source nobody asks any more is forgotten."""
    monitor, source = world.monitor(), fleet.spot_prices("eu-west-1")
    await passes.succeeded(world.db, source, now=world.clock.now())
    seen = []
    for _ in range(3):
        await passes.succeeded(world.db, fleet.PRICES, now=world.clock.now())
        await passes.failed(world.db, source, error="timed out", now=world.clock.now())
        seen.append(await states(monitor, "price_scraper"))
        world.clock.forward(world.config.prices.interval)
    world.clock.forward(6 * world.config.prices.interval)
    await passes.succeeded(world.db, fleet.PRICES, now=world.clock.now())
    seen.append(await states(monitor, "price_scraper"))

    assert seen == [HEALTHY, HEALTHY, DEGRADED, HEALTHY]


async def test_the_model_registry_decides_on_ml_inference(world: World) -> None:
    """An active model is healthy, only a candidate degraded, a failing or no model critical."""
    monitor, now = world.monitor(), world.clock.now()

    async def put(state: ModelState, **details: object) -> ComponentState:
        await models.put(world.db, name="hazard", version="1", state=state, now=now, details=details)
        return await states(monitor, "ml_inference")

    seen = [
        await put(ModelState.ACTIVE),
        await put(ModelState.CANDIDATE),
        await put(ModelState.ACTIVE, fallback=True),
        await put(ModelState.ACTIVE, error="no answer"),
        await put(ModelState.RETIRED),
        await put(ModelState.ACTIVE),
    ]

    assert seen == [HEALTHY, DEGRADED, DEGRADED, CRITICAL, CRITICAL, HEALTHY]
    assert await world.rows("ml_inference") == CYCLE


async def test_events_that_pile_up_show(world: World) -> None:
    """99 unhandled are healthy, 100 degraded, 1000 critical; handling them heals."""
    monitor = world.monitor()

    async def waiting(*numbers: range) -> ComponentState:
        received = [inbox.Received(verdict=verdict(f"e{n}"), body="{}") for some in numbers for n in some]
        await inbox.accept_all(world.db, received, source="test", received_at=world.clock.now())
        return await states(monitor, "events")

    await monitor.run_all_health_checks()
    await world.db.execute("DELETE FROM inbox")
    seen = [await waiting(range(99)), await waiting(range(99, 100))]
    seen.append(await waiting(range(100, 1000)))
    await world.db.execute("DELETE FROM inbox")
    seen.append(await states(monitor, "events"))

    assert seen == [HEALTHY, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows("events") == CYCLE


async def test_a_queue_nobody_receives_from_shows(world: World) -> None:
    """60 s of silence degrade the event path, 180 s are critical, the next receive heals; its depth is told."""
    queue = {"silence": 59.0}
    monitor = world.monitor(
        queues=lambda: [QueueState(name="spotd-events", silence=queue["silence"], backlog=7, error="refused")]
    )
    seen = []
    for silence in (59.0, 60.0, 179.0, 180.0, 0.5):
        queue["silence"] = silence
        seen.append(await states(monitor, "events"))

    assert seen == [HEALTHY, DEGRADED, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows("events") == CYCLE
    [told] = monitor.components["events"].details["queues"]
    assert told == {"queue": "spotd-events", "silence_seconds": 0.5, "backlog": 7, "error": "refused"}


async def test_a_disk_that_fills_up_shows(world: World) -> None:
    """A tenth free degrades, three hundredths are critical, room heals."""
    monitor, seen = world.monitor(), []
    for free in (101, 100, 31, 30, 500):
        world.room = Disk(free=free, total=1000)
        seen.append(await states(monitor, "disk"))

    assert seen == [HEALTHY, DEGRADED, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows("disk") == CYCLE


async def test_a_slow_database_shows(world: World) -> None:
    """A round trip beyond the first edge degrades the store, beyond the second it is critical, and it heals."""
    monitor, seen = world.monitor(), []
    for delay in (0.0, 0.3, 0.6, 0.0):
        world.store.trouble.delay = delay
        seen.append(await states(monitor, "database"))
    await monitor.run_all_health_checks()

    assert seen == [HEALTHY, DEGRADED, CRITICAL, HEALTHY]
    assert await world.rows("database") == CYCLE


@pytest.mark.parametrize("fault", ["gone", "hung"])
async def test_a_store_that_is_away_is_the_databases_trouble_alone(world: World, fault: str) -> None:
    """Others are judged by what is remembered of them; the change is written once the store is back."""
    monitor = world.monitor()
    for source in (fleet.OPTIMIZER, fleet.PRICES):
        await passes.succeeded(world.db, source, now=world.clock.now())
    await heartbeats.beat(world.db, "k8s_watcher", at=world.clock.now())
    await monitor.run_all_health_checks()

    setattr(world.store.trouble, fault, True)
    away = await monitor.run_all_health_checks()
    assert {name for name, each in away.items() if each.status is CRITICAL} == {"database", "ml_inference"}
    assert away["database"].details["error"]

    world.clock.forward(60)
    assert await states(monitor, "k8s_watcher") is DEGRADED

    setattr(world.store.trouble, fault, False)
    await monitor.run_all_health_checks()
    assert await world.rows("database") == [("healthy", "critical"), ("critical", "healthy")]
    assert await world.rows("k8s_watcher") == [("healthy", "degraded")]


async def test_one_change_is_one_row_however_long_it_lasts(world: World) -> None:
    """A state that stays is told neither again nor by several checks at once."""
    monitor = world.monitor()
    world.room = Disk(free=1, total=100)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(monitor.run_all_health_checks())
    for _ in range(3):
        world.clock.forward(30)
        await monitor.run_all_health_checks()

    assert await world.rows("disk") == [("healthy", "critical")]
    page = await health.history_page(world.db, component="disk")
    assert [(each.before, each.after) for each in page.items] == [(HEALTHY, CRITICAL)]


async def test_a_change_for_the_worse_carries_what_explains_it(world: World) -> None:
    """The component's last 15 rows, queue depths, open breakers and slow callbacks stand in the same row."""
    now = world.clock.now()
    lines = [
        Row(timestamp=now, component=name, level="warning", message=f"{name} {n}", details={})
        for n in range(20)
        for name in ("disk", "prices")
    ]
    await logs.insert(world.db, *lines)
    world.room = Disk(free=1, total=100)
    await world.monitor(queues=lambda: [QueueState(name="q", silence=1, backlog=3)]).run_all_health_checks()

    [row] = [row for row in await logs.recent(world.db, "health_monitor") if row.details["component"] == "disk"]

    assert row.level == "error"
    assert row.details["from"] == "healthy"
    assert row.details["to"] == "critical"
    assert row.details["details"]["free_bytes"] == 1
    diagnostics = row.details["diagnostics"]
    assert [line["message"] for line in diagnostics["recent_logs"]] == [f"disk {n}" for n in range(19, 4, -1)]
    assert diagnostics["queue_depths"] == {"store": 0, "q": 3}
    assert diagnostics["open_breakers"] == []
    assert diagnostics["slowest_callbacks"] == []


async def test_operators_find_the_changes_with_their_query(world: World) -> None:
    """The documented SQL runs as it stands and shows the newest first."""
    monitor = world.monitor()
    for free in (1, 50):
        world.room = Disk(free=free, total=100)
        await monitor.run_all_health_checks()
        world.clock.forward(30)

    rows = await world.db.fetch(
        "SELECT * FROM system_logs WHERE component = 'health_monitor' ORDER BY timestamp DESC LIMIT 10"
    )

    assert [row["message"] for row in rows if row["message"].startswith("disk")] == [
        "disk: critical → healthy",
        "disk: healthy → critical",
    ]
    assert json.loads(rows[0]["details"])["component"] == "disk"


async def test_a_change_travels_as_an_event_and_on_the_stream(world: World) -> None:
    """Whoever listens hears of it at once, and it lies in the inbox under a key of its own."""
    stream = world.changes.subscribe()
    world.room = Disk(free=1, total=100)
    await world.monitor().run_all_health_checks()

    page = await inbox.list_page(world.db, kind="health.transition")
    assert {stored.event.body["detail"]["component"] for stored in page.items} >= {"disk"}
    assert all(stored.outcome is Outcome.ACCEPTED for stored in page.items)
    told = [await anext(stream) for _ in page.items]
    assert all(isinstance(change, Change) and change.topic == "health.transition" for change in told)
    assert {"component": "disk", "from": "healthy", "to": "critical"}.items() <= _of_disk(told).items()


async def test_a_state_and_its_beginning_survive_a_restart(world: World) -> None:
    """The next daemon neither tells the change again nor forgets since when it lasts."""
    began = world.clock.now()
    world.room = Disk(free=1, total=100)
    await world.monitor().run_all_health_checks()
    world.clock.forward(3600)

    after = await world.monitor().run_all_health_checks()

    assert after["disk"].since == began
    assert after["database"].since == began
    assert await world.rows("disk") == [("healthy", "critical")]


async def test_the_monitor_loop_checks_on_its_interval(world: World) -> None:
    """Left alone it finds a fault and its end by itself, and ends when it is cancelled."""
    stream = world.changes.subscribe()
    config = replace(world.config, health=HealthConfig(interval=1.0), k8s=K8sConfig(), ml=MlConfig())
    world.room = Disk(free=1, total=100)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        running = group.create_task(world.monitor(config=config).monitor_loop())
        assert _of_disk([await anext(stream)])["to"] == "critical"
        world.room = Disk(free=50, total=100)
        assert _of_disk([await anext(stream)])["to"] == "healthy"
        running.cancel()


def test_a_dead_endpoint_shows_within_a_minute() -> None:
    """The probe's period, its patience and the checks' period together, whatever the scan interval is."""
    assert HealthConfig().interval / 2 + PATIENCE + HealthConfig().interval <= 60


async def test_a_shell_checks_without_changing_anything(world: World) -> None:
    """The documented call needs only a store, and leaves no row of its own."""
    await passes.succeeded(world.db, fleet.OPTIMIZER, now=world.clock.now())
    found = await run_all_health_checks(world.db)

    assert list(found) == [*CONTRACT, *OURS]
    assert found["database"].status is HEALTHY
    assert await world.db.fetch("SELECT * FROM system_logs") == []
    assert await health.standings(world.db) == {}


def verdict(key: str) -> Verdict:
    event = Event(key=key, kind="rebalance", source="aws.ec2", detail_type="x", account_id=None, region=None)
    return Verdict(outcome=Outcome.ACCEPTED, key=key, kind=event.kind, event=event)


def _of_disk(told: Sequence[object]) -> Mapping[str, object]:
    [facts] = [change.facts for change in told if isinstance(change, Change) and change.facts["component"] == "disk"]
    return facts

"""The inventory: change-only writes, passes that overtake one another, tombstones, pages."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from spotd.errors import InvalidInput
from spotd.model.account import Account
from spotd.model.instance import Instance, Lifecycle, State, StoredInstance
from spotd.store import accounts, instances, scopes
from spotd.store.db import Database
from spotd.store.instances import InstanceFilter, PoolUse, digest_of

REGION = "eu-west-1"


def instance(number: int, **facts: object) -> Instance:
    """Return a running instance."""
    known: dict[str, object] = {
        "instance_id": f"i-{number:017x}",
        "account_id": "123456789012",
        "region": REGION,
        "availability_zone": "eu-west-1a",
        "instance_type": "m5.large",
        "state": State.RUNNING,
    }
    return Instance(**{**known, **facts})  # type: ignore[arg-type]


async def scanned(db: Database, account: Account, found: Sequence[Instance], now: datetime) -> tuple[int, int]:
    """Run one complete pass; return how many rows it changed and ended."""
    generation = await scopes.begin(db, account.id, REGION, now=now)
    changed = await instances.upsert_changed(db, account.id, REGION, generation, found, now=now)
    seen = {one.instance_id for one in found}
    return changed, await instances.close_pass(db, account.id, REGION, generation, seen_ids=seen, now=now)


async def stored(db: Database, number: int) -> StoredInstance:
    """Return one stored instance."""
    [found] = await instances.by_ids(db, [f"i-{number:017x}"])
    return found


async def everything(db: Database, wanted: InstanceFilter | None = None) -> list[str]:
    """Return the ids of all instances that a filter selects."""
    page = await instances.list_page(db, wanted, limit=1000)
    return [found.instance.instance_id for found in page.items]


async def test_every_fact_comes_back(db: Database, account: Account, now: datetime) -> None:
    """An instance is read as it was written, any Unicode in its tags included."""
    full = instance(
        1,
        az_id="euw1-az3",
        lifecycle=Lifecycle.SPOT,
        asg_name="web ✓",
        cluster="eks-1",
        managed=True,
        tags={"Name": "größe \U0001f680 \u202e \x7f", "": "empty key", "a": "", "q\"'\\": "b\n\t"},
        launched_at=now - timedelta(days=400, microseconds=1),
        product="Windows",
        architecture="arm64",
        virtualization="hvm",
        ena=False,
        tenancy="dedicated",
        image_id="ami-1",
        root_device="ebs",
        volume_ids=("vol-1", "vol-2"),
        vpc_id="vpc-1",
        subnet_id="subnet-1",
        private_ip="10.0.0.1",
    )
    await scanned(db, account, [full, instance(2)], now)

    assert await stored(db, 1) == StoredInstance(
        instance=full, first_seen_at=now, changed_at=now, terminated_at=None, scope_completed_at=now
    )
    assert (await stored(db, 2)).instance == instance(2)


async def test_what_did_not_change_is_not_written(db: Database, account: Account, now: datetime) -> None:
    """A second pass over the same fleet writes no row; one change writes one, and keeps when it was first seen."""
    fleet = [instance(n, tags={"b": "1", "a": "2"}) for n in range(50)]
    assert await scanned(db, account, fleet, now) == (50, 0)
    later = now + timedelta(minutes=5)

    again = [replace(one, tags={"a": "2", "b": "1"}) for one in fleet]
    assert await scanned(db, account, again, later) == (0, 0)
    assert (await stored(db, 3)).changed_at == now
    assert (await stored(db, 3)).scope_completed_at == later

    fleet[3] = replace(fleet[3], state=State.STOPPED)
    assert await scanned(db, account, fleet, later) == (1, 0)
    assert (await stored(db, 3)).instance.state is State.STOPPED
    assert ((await stored(db, 3)).first_seen_at, (await stored(db, 3)).changed_at) == (now, later)


async def test_a_complete_pass_ends_what_it_did_not_see(db: Database, account: Account, now: datetime) -> None:
    """An instance that is gone becomes a tombstone; what is back lives again, with its first sight kept."""
    await scanned(db, account, [instance(1), instance(2)], now)
    gone, back = now + timedelta(minutes=5), now + timedelta(minutes=10)

    assert await scanned(db, account, [instance(2)], gone) == (0, 1)
    ended = await stored(db, 1)
    assert (ended.instance.state, ended.terminated_at, ended.changed_at) == (State.TERMINATED, gone, gone)
    assert await scanned(db, account, [instance(2)], gone) == (0, 0)

    assert await scanned(db, account, [instance(1), instance(2)], back) == (1, 0)
    alive = await stored(db, 1)
    assert (alive.instance, alive.terminated_at, alive.first_seen_at) == (instance(1), None, now)


async def test_a_failed_pass_ends_nothing(db: Database, account: Account, now: datetime) -> None:
    """What a pass did not get to see stays as it was, and the scope says why it is stale."""
    await scanned(db, account, [instance(1), instance(2)], now)
    later = now + timedelta(minutes=5)

    generation = await scopes.begin(db, account.id, REGION, now=later)
    await instances.upsert_changed(db, account.id, REGION, generation, [instance(1)], now=later)
    await scopes.fail(db, account.id, REGION, generation, error="page 2 was cut", now=later)

    [scope] = await scopes.all_scopes(db, account.id)
    assert (scope.completed_at, scope.error, scope.error_at, scope.instance_count) == (now, "page 2 was cut", later, 2)
    assert (await stored(db, 2)).terminated_at is None

    await scanned(db, account, [instance(1)], later)
    [scope] = await scopes.all_scopes(db, account.id)
    assert (scope.completed_at, scope.error, scope.error_at, scope.instance_count) == (later, None, None, 1)


async def test_an_overtaken_pass_writes_nothing(db: Database, account: Account, now: datetime) -> None:
    """Once a newer pass has begun, an older one neither changes, nor ends, nor completes, nor fails anything."""
    await scanned(db, account, [instance(1)], now)
    old = await scopes.begin(db, account.id, REGION, now=now)
    new = await scopes.begin(db, account.id, REGION, now=now)
    later = now + timedelta(minutes=1)

    stale = [instance(1, state=State.STOPPED), instance(9)]
    assert await instances.upsert_changed(db, account.id, REGION, old, stale, now=later) == 0
    assert await instances.close_pass(db, account.id, REGION, old, seen_ids=set(), now=later) == 0
    await scopes.fail(db, account.id, REGION, old, error="old", now=later)

    [scope] = await scopes.all_scopes(db)
    assert (scope.generation, scope.completed_at, scope.error) == (new, now, None)
    assert await everything(db) == [instance(1).instance_id]
    assert (await stored(db, 1)).instance.state is State.RUNNING


async def test_a_pass_of_a_deleted_account_writes_nothing(db: Database, account: Account, now: datetime) -> None:
    """An account that goes while its region is listed takes the pass with it, without an error."""
    generation = await scopes.begin(db, account.id, REGION, now=now)
    await accounts.delete(db, account.id)

    assert await instances.upsert_changed(db, account.id, REGION, generation, [instance(1)], now=now) == 0
    assert await instances.close_pass(db, account.id, REGION, generation, seen_ids={"x"}, now=now) == 0
    assert await everything(db) == []


async def test_a_describe_beats_the_pass_under_way(db: Database, account: Account, now: datetime) -> None:
    """What a describe told after a pass began is neither overwritten nor ended by it, but by the next one."""
    await scanned(db, account, [instance(1)], now)
    running = await scopes.begin(db, account.id, REGION, now=now)
    moment = await scopes.current(db, account.id, REGION)

    fresh = [instance(1, state=State.STOPPING), instance(2)]
    assert await instances.refresh(db, account.id, REGION, moment, fresh, now=now) == 2
    assert await instances.upsert_changed(db, account.id, REGION, running, [instance(1)], now=now) == 0
    assert await instances.close_pass(db, account.id, REGION, running, seen_ids={instance(1).instance_id}, now=now) == 0
    assert (await stored(db, 1)).instance.state is State.STOPPING
    assert (await stored(db, 2)).terminated_at is None

    assert await scanned(db, account, [instance(1, state=State.STOPPED)], now) == (1, 1)


async def test_what_an_event_told_is_written_anew_by_the_next_pass(
    db: Database, account: Account, now: datetime
) -> None:
    """An event's state holds until a listing says otherwise; a second event of one state is no news."""
    await scanned(db, account, [instance(1), instance(2)], now)
    one, two = instance(1).instance_id, instance(2).instance_id

    assert await instances.set_state(db, account.id, one, State.STOPPING, now=now)
    assert not await instances.set_state(db, account.id, one, State.STOPPING, now=now)
    assert await instances.set_state(db, account.id, two, State.SHUTTING_DOWN, now=now)
    assert not await instances.set_state(db, account.id, "i-unknown", State.STOPPED, now=now)
    assert (await stored(db, 1)).instance.state is State.STOPPING
    assert (await stored(db, 2)).terminated_at == now

    assert await scanned(db, account, [instance(1), instance(2)], now) == (2, 0)
    assert (await stored(db, 1)).instance.state is State.RUNNING


async def test_an_event_beats_the_pass_under_way(db: Database, account: Account, now: datetime) -> None:
    """A page that was listed before an event neither undoes a state nor brings back what ended; the next pass may."""
    await scanned(db, account, [instance(1), instance(2)], now)
    running = await scopes.begin(db, account.id, REGION, now=now)
    await instances.set_state(db, account.id, instance(1).instance_id, State.STOPPING, now=now)
    await instances.set_state(db, account.id, instance(2).instance_id, State.TERMINATED, now=now)

    listed = [instance(1), instance(2)]
    assert await instances.upsert_changed(db, account.id, REGION, running, listed, now=now) == 0
    assert (await stored(db, 1)).instance.state is State.STOPPING
    assert (await stored(db, 2)).terminated_at == now

    assert await scanned(db, account, [instance(1)], now) == (1, 0)


async def test_what_is_gone_is_not_stored_anew(db: Database, account: Account, now: datetime) -> None:
    """AWS shows terminated instances for an hour: an unknown one makes no row, a tombstone stays as it is."""
    await scanned(db, account, [instance(1)], now)
    ended = [instance(1, state=State.TERMINATED), instance(2, state=State.TERMINATED)]

    assert await scanned(db, account, ended, now) == (1, 0)
    assert await scanned(db, account, ended, now + timedelta(hours=1)) == (0, 0)
    assert (await stored(db, 1)).terminated_at == now
    assert await everything(db) == [instance(1).instance_id]

    await instances.end(db, account.id, [instance(1).instance_id], now=now + timedelta(hours=1))
    assert (await stored(db, 1)).terminated_at == now


async def test_load_balancers_are_written_where_they_changed(db: Database, account: Account, now: datetime) -> None:
    """Membership is a fact of its own: it outlives scans and is taken away when it ends."""
    await scanned(db, account, [instance(1), instance(2), instance(3)], now)
    one, two = instance(1).instance_id, instance(2).instance_id

    assert await instances.set_load_balancers(db, account.id, REGION, {one: ("b", "a"), two: ("a",)}, now=now) == 2
    assert await instances.set_load_balancers(db, account.id, REGION, {one: ("a", "b"), two: ("a",)}, now=now) == 0
    await scanned(db, account, [instance(1, state=State.STOPPED), instance(2), instance(3)], now)
    assert (await stored(db, 1)).load_balancers == ("a", "b")
    assert await instances.set_load_balancers(db, account.id, REGION, {two: ("a",)}, now=now) == 1
    assert (await stored(db, 1)).load_balancers == ()


FLEET = [
    instance(1, tags={"team": "web", "env": "prod"}),
    instance(2, tags={"team": "web"}, lifecycle=Lifecycle.SPOT),
    instance(3, state=State.STOPPED, instance_type="c5.large"),
    instance(4, tags={"team": 'we"b', "x": '"team":"web"'}),
]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (InstanceFilter(), [1, 2, 3, 4, 5]),
        (InstanceFilter(account_id="123456789012"), [1, 2, 3, 4, 5]),
        (InstanceFilter(account_id="000000000000"), []),
        (InstanceFilter(region=REGION), [1, 2, 3, 4, 5]),
        (InstanceFilter(region="us-east-1"), []),
        (InstanceFilter(state="stopped"), [3]),
        (InstanceFilter(state="terminated"), [5]),
        (InstanceFilter(lifecycle="spot"), [2]),
        (InstanceFilter(instance_type="c5.large"), [3]),
        (InstanceFilter(live=True), [1, 2, 3, 4]),
        (InstanceFilter(live=False), [5]),
        (InstanceFilter(tags=("team",)), [1, 2, 4]),
        (InstanceFilter(tags=("team=web",)), [1, 2]),
        (InstanceFilter(tags=("team=web", "env=prod")), [1]),
        (InstanceFilter(tags=("tea",)), []),
        (InstanceFilter(tags=("team=we",)), []),
        (InstanceFilter(tags=("TEAM",)), []),
        (InstanceFilter(lifecycle="spot", tags=("team=web",), region=REGION, live=True), [2]),
    ],
)
async def test_filters_select(
    db: Database, account: Account, now: datetime, wanted: InstanceFilter, numbers: list[int]
) -> None:
    """Each filter selects exactly what it names, alone and together with others."""
    await scanned(db, account, [*FLEET, instance(5)], now)
    await scanned(db, account, FLEET, now)

    assert await everything(db, wanted) == [instance(n).instance_id for n in numbers]


async def test_too_many_tags_are_refused(db: Database) -> None:
    """A filter that would not be applied in full is not applied in part."""
    with pytest.raises(InvalidInput):
        await instances.list_page(db, InstanceFilter(tags=("a", "b", "c", "d", "e")))


ODD_TAGS = [
    {"x": "y"},
    {'"x': "y"},
    {'x"': "y", "k,": ":"},
    {"": "y", "a=b": "c", "\\": '"x":"y"'},
    {":": "", "ü✓": "\U0001f680", "a": "b=c"},
]
TAGS = ["x", '"x', 'x"', "k,", ":", "", "=y", "a=b", "a=b=c", "a", "\\", "ü✓", "ü✓=\U0001f680", "x=y", ":=", "y"]


@pytest.mark.parametrize("tag", TAGS)
async def test_a_tag_is_found_if_and_only_if_it_is_there(
    db: Database, account: Account, now: datetime, tag: str
) -> None:
    """Neither quotes, colons nor equal signs in keys and values find what is not there, or miss what is."""
    await scanned(db, account, [instance(n, tags=tags) for n, tags in enumerate(ODD_TAGS)], now)

    carriers = [n for n, tags in enumerate(ODD_TAGS) if tag in tags or tag in {f"{k}={v}" for k, v in tags.items()}]
    assert await everything(db, InstanceFilter(tags=(tag,))) == [instance(n).instance_id for n in carriers]


async def test_pages_show_every_instance_once_while_the_fleet_grows(
    db: Database, account: Account, now: datetime
) -> None:
    """Rows that come or go between two pages neither repeat nor hide others."""
    await scanned(db, account, [instance(n) for n in range(7)], now)

    first = await instances.list_page(db, limit=3)
    await scanned(db, account, [instance(n) for n in range(2, 9)], now)
    second = await instances.list_page(db, limit=3, cursor=first.next_cursor)
    third = await instances.list_page(db, limit=3, cursor=second.next_cursor)

    shown = [found.instance.instance_id for page in (first, second, third) for found in page.items]
    assert shown == [instance(n).instance_id for n in range(9)]
    assert third.next_cursor is None


async def test_what_is_live_is_read_in_chunks(db: Database, account: Account, now: datetime) -> None:
    """A fleet larger than a chunk is read whole, tombstones and other regions left out."""
    fleet = [instance(n, instance_type=f"m{n % 3}.large") for n in range(instances.CHUNK + 5)]
    await scanned(db, account, fleet, now)
    await scanned(db, account, fleet[:-1], now)

    assert len(await instances.live(db, account.id)) == instances.CHUNK + 4
    assert await instances.live(db, account.id, "us-east-1") == ()
    pools = await instances.pools_in_use(db, account.id)
    assert [pool.number for pool in pools] == [335, 335, 334]
    assert pools[0] == PoolUse(region=REGION, instance_type="m0.large", product="Linux/UNIX", number=335)
    assert len((await instances.running_ids(db, account.id))[REGION]) == instances.CHUNK + 4


def test_equal_facts_have_an_equal_digest() -> None:
    """The order of tags is no fact; everything else is."""
    one = instance(1, tags={"a": "1", "b": "2"})

    assert digest_of(one) == digest_of(instance(1, tags={"b": "2", "a": "1"}))
    assert digest_of(one) != digest_of(replace(one, managed=True))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    passes=st.lists(st.dictionaries(st.integers(0, 5), st.sampled_from(["running", "stopped"]), max_size=6), max_size=5)
)
async def test_after_a_complete_pass_the_inventory_is_what_it_saw(
    db: Database, now: datetime, passes: list[dict[int, str]]
) -> None:
    """Whatever came before, after a complete pass the live rows are exactly the instances it saw, as it saw them."""
    known = await accounts.find(db, "123456789012")
    if known is not None:
        await accounts.delete(db, known.id)
    account = await accounts.create_pending(db, account_id="123456789012", name="n", external_id=None, now=now)
    for seen in passes:
        await scanned(db, account, [instance(n, state=State(state)) for n, state in seen.items()], now)
        live = await instances.live(db, account.id)
        found = {one.instance.instance_id: one.instance.state for one in live}
        assert found == {instance(n).instance_id: State(state) for n, state in seen.items()}


async def test_a_thousand_rows_are_stored_quickly(db: Database, account: Account, now: datetime) -> None:
    """A page of a thousand new instances takes tens of milliseconds (bounded generously for a busy machine)."""
    tags = {f"key-{n}": "value" * 4 for n in range(8)}
    fleet = [instance(n, tags=tags, volume_ids=("vol-1",), launched_at=now) for n in range(1000)]
    generation = await scopes.begin(db, account.id, REGION, now=now)

    began = time.perf_counter()
    assert await instances.upsert_changed(db, account.id, REGION, generation, fleet, now=now) == 1000
    assert time.perf_counter() - began < 1.0

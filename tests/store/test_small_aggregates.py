"""The small tables: passes, heartbeats, models, tokens, facts about the database, health."""

from datetime import datetime, timedelta

import pytest

from spotd.errors import Conflict
from spotd.model.health import ComponentState
from spotd.store import health, heartbeats, meta, models, passes, tokens
from spotd.store.db import Database
from spotd.store.health import Standing
from spotd.store.models import ModelState
from spotd.store.passes import Pass


async def test_a_failed_pass_keeps_when_the_last_good_one_was(db: Database, now: datetime) -> None:
    """A source shows its last good pass beside its failure; the next good pass clears the failure."""
    later = now + timedelta(minutes=1)
    await passes.succeeded(db, "advisor", now=now)
    await passes.failed(db, "advisor", error="no ranges", misshapen=True, now=later)
    await passes.failed(db, "spot", error="timed out", now=later)

    assert await passes.all_passes(db) == {
        "advisor": Pass(source="advisor", last_ok_at=now, last_error="no ranges", error_at=later, misshapen=True),
        "spot": Pass(source="spot", last_ok_at=None, last_error="timed out", error_at=later, misshapen=False),
    }
    assert await passes.last_good(db) == {"advisor": now}

    await passes.succeeded(db, "advisor", now=later)
    good = Pass(source="advisor", last_ok_at=later, last_error=None, error_at=None, misshapen=False)
    assert (await passes.all_passes(db))["advisor"] == good


async def test_the_newest_heartbeat_counts(db: Database, now: datetime) -> None:
    """A heartbeat that was held up on its way does not make a process look older than it is."""
    assert await heartbeats.get(db, "k8s_watcher") is None
    await heartbeats.beat(db, "k8s_watcher", at=now, details={"nodes": 3})
    await heartbeats.beat(db, "k8s_watcher", at=now - timedelta(minutes=1))

    beat = await heartbeats.get(db, "k8s_watcher")
    assert beat is not None
    assert (beat.at, beat.details) == (now, {"nodes": 3})


async def test_one_version_of_a_model_serves(db: Database, now: datetime) -> None:
    """A version that becomes active retires the one that was, of the same model only."""
    for name, version in (("hazard", "1"), ("hazard", "2"), ("other", "1")):
        await models.put(db, name=name, version=version, state=ModelState.CANDIDATE, now=now)
    await models.put(db, name="other", version="1", state=ModelState.ACTIVE, now=now)
    for minute, version in enumerate(("1", "2", "2"), start=1):
        at = now + timedelta(minutes=minute)
        await models.put(db, name="hazard", version=version, state=ModelState.ACTIVE, now=at, details={"at": minute})

    found = {(one.name, one.version): one.state.value for one in await models.all_models(db)}
    assert found == {("hazard", "1"): "retired", ("hazard", "2"): "active", ("other", "1"): "active"}


async def test_tokens_are_found_by_their_hash(db: Database, now: datetime) -> None:
    """A token comes back with its scopes, limit and end, until it is revoked."""
    made = await tokens.create(
        db, name="ci", digest="h1", scopes=["read", "events"], account_id="1" * 12, expires_at=now, now=now
    )

    assert await tokens.find(db, "h1") == made
    assert (made.scopes, made.account_id, made.expires_at) == (("events", "read"), "1" * 12, now)
    assert await tokens.find(db, "h2") is None
    with pytest.raises(Conflict):
        await tokens.create(db, name="again", digest="h1", scopes=[], now=now)
    assert await tokens.delete(db, made.id)
    assert not await tokens.delete(db, made.id)
    assert await tokens.find(db, "h1") is None


async def test_a_replaced_token_opens_nothing(db: Database, now: datetime) -> None:
    """Of the tokens of one name only the newest stays."""
    await tokens.replace(db, name="admin", digest="old", scopes=["admin"], now=now)
    await tokens.create(db, name="ci", digest="other", scopes=["read"], now=now)
    new = await tokens.replace(db, name="admin", digest="new", scopes=["admin"], now=now)

    page = await tokens.list_page(db, limit=1)
    rest = await tokens.list_page(db, limit=1, cursor=page.next_cursor)
    assert [one.digest for one in (*page.items, *rest.items)] == ["other", "new"]
    assert (rest.next_cursor, rest.items[0]) == (None, new)


async def test_the_first_canary_stays(db: Database) -> None:
    """Of several daemons that start at once all go by the same stored fact."""
    assert await meta.get(db, "canary") is None
    assert await meta.put_once(db, "canary", "one") == "one"
    assert await meta.put_once(db, "canary", "two") == "one"
    await meta.put(db, "canary", "three")
    assert await meta.get(db, "canary") == "three"


async def test_the_epoch_moves_on(db: Database) -> None:
    """A database that was never restored is in epoch 0; each restore moves it on by one."""
    assert [await meta.epoch(db), await meta.bump_epoch(db), await meta.bump_epoch(db)] == [0, 1, 2]


async def test_health_is_remembered(db: Database, now: datetime) -> None:
    """A component's status and its age survive a restart; each change is in the history with its diagnostics."""
    later = now + timedelta(minutes=1)
    await health.save_standing(db, "redis", ComponentState.HEALTHY, since=now)
    await health.save_standing(db, "optimizer", ComponentState.HEALTHY, since=now)
    await health.record_transition(
        db, "redis", ComponentState.HEALTHY, ComponentState.CRITICAL, at=later, details={"depth": 51}
    )

    assert await health.standings(db) == {
        "redis": Standing(status=ComponentState.CRITICAL, since=later),
        "optimizer": Standing(status=ComponentState.HEALTHY, since=now),
    }
    [change] = (await health.history_page(db)).items
    assert (change.component, change.before, change.after) == ("redis", "healthy", "critical")
    assert (change.at, change.details) == (later, {"depth": 51})


async def test_the_history_is_paged_by_component(db: Database, now: datetime) -> None:
    """Changes are listed newest first, of all components or of one."""
    for n in range(3):
        for component in ("a", "b"):
            await health.record_transition(
                db, component, ComponentState.HEALTHY, ComponentState.DEGRADED, at=now, details={"n": n}
            )

    first = await health.history_page(db, component="a", limit=2)
    rest = await health.history_page(db, component="a", limit=2, cursor=first.next_cursor)

    assert [one.details["n"] for one in (*first.items, *rest.items)] == [2, 1, 0]
    assert len((await health.history_page(db)).items) == 6

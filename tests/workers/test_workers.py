import ast
import inspect
import json
import re
import types
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spotd.errors import Conflict
from spotd.model.account import Account, Status
from spotd.model.advice import Decision
from spotd.model.event import Outcome
from spotd.store import accounts, inbox, instances, overview, recommendations
from spotd.workers import (
    HealthMonitor,
    get_account,
    get_session_for_account,
    open_store,
    process_events,
    run_all_health_checks,
    run_initial_discovery,
    run_optimizer,
    scan_ec2_instances,
    scrape_prices,
    trigger_rediscovery,
)

COMPONENTS = {
    "database", "redis", "k8s_watcher", "optimizer", "price_scraper", "risk_engine", "ml_inference",
    "event_loop", "aws", "events", "disk",
}  # fmt: skip


async def test_a_first_discovery_makes_a_connected_account_active(connected: Account) -> None:
    """After it the account is active, its fleet is stored, and every running instance has a price."""
    await run_initial_discovery(account_id=connected.id)

    async with open_store() as db:
        account = await accounts.get(db, connected.id)
        stored = await instances.live(db, connected.id)
        seen = await overview.read(db)
    assert account.status is Status.ACTIVE
    assert len({one.instance.region for one in stored}) >= 3
    assert (seen.cost.running > 0, seen.cost.unpriced) == (True, 0)
    assert seen.cost.micros_per_hour


async def test_a_second_first_discovery_is_refused(connected: Account) -> None:
    """An active account is re-discovered, not discovered."""
    await run_initial_discovery(account_id=connected.id)

    with pytest.raises(Conflict, match="active"):
        await run_initial_discovery(account_id=connected.id)


async def test_re_discovery_keeps_the_status_and_finds_the_same_fleet(connected: Account) -> None:
    """A re-scan of an unchanged fleet changes nothing."""
    await run_initial_discovery(account_id=connected.id)
    before = await _stored(connected)

    listing = await trigger_rediscovery(account_id=connected.id)

    assert sum(scan.seen for scan in listing.scans) == len(before)
    assert sum(scan.changed + scan.ended for scan in listing.scans) == 0
    assert await _stored(connected) == before


async def test_re_discovery_of_a_connected_account_names_what_it_waits_for(connected: Account) -> None:
    """Before its first discovery an account cannot be re-discovered."""
    with pytest.raises(Conflict, match="first discovery"):
        await trigger_rediscovery(account_id=connected.id)


async def test_one_region_can_be_scanned_by_hand(connected: Account) -> None:
    """A session, the account's id, the store and a region are all a scan needs."""
    async with open_store() as db, get_session_for_account(await get_account(db, connected.id)) as session:
        result = await scan_ec2_instances(session, connected.id, db, "eu-west-1")
        stored = await instances.live(db, connected.id)

    assert result.seen == result.changed == len(stored) > 0
    assert {one.instance.region for one in stored} == {"eu-west-1"}


async def test_health_is_checked_for_every_component(connected: Account) -> None:
    """From a shell each component reports; what only a running daemon has is off."""
    async with open_store() as db:
        results = await run_all_health_checks(db)

    assert set(results) == COMPONENTS
    assert results["database"].enabled
    assert inspect.iscoroutinefunction(HealthMonitor.monitor_loop)


async def test_the_optimizer_recommends_and_refuses_with_reasons(connected: Account) -> None:
    """One run leaves recommendations and refusals, each with its reasons."""
    await run_initial_discovery(account_id=connected.id)
    await scrape_prices()

    result = await run_optimizer()

    async with open_store() as db:
        page = await recommendations.list_page(db, limit=1000)
    verdicts = [item.advice.verdict for item in page.items]
    assert result.accounts == 1
    assert verdicts.count(Decision.RECOMMENDED) == result.recommended > 0
    assert verdicts.count(Decision.REFUSED) == result.refused > 0
    assert all(item.advice.reasons for item in page.items)


async def test_an_interruption_notice_is_processed_once(connected: Account) -> None:
    """The same notice twice is accepted once, acted on once and known as a duplicate then."""
    await run_initial_discovery(account_id=connected.id)
    body = json.dumps(_notice(connected, (await _stored(connected))[0]))

    first, second = [await process_events(body) for _ in range(2)]

    async with open_store() as db:
        page = await inbox.list_page(db, kind="interruption")
    assert [verdict.outcome for verdict in (*first, *second)] == [Outcome.ACCEPTED, Outcome.DUPLICATE]
    assert len(page.items) == 1


async def test_the_documented_shell_examples_run(connected: Account, repository: Path) -> None:
    """Each block of docs/shell.md runs as it stands, in order."""
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / "shell.md").read_text(), re.DOTALL)
    module = types.ModuleType("shell")

    for block in blocks:
        code = compile(block, "docs/shell.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        waiting = eval(code, module.__dict__)  # noqa: S307, RUF100 - the example is what is tested
        if inspect.iscoroutine(waiting):
            await waiting

    assert len(blocks) == 3
    assert module.__dict__["results"]


async def _stored(account: Account) -> list[str]:
    async with open_store() as db:
        return sorted(one.instance.instance_id for one in await instances.live(db, account.id))


def _notice(account: Account, instance_id: str) -> dict[str, object]:
    return {
        "version": "0",
        "id": "1e5527d7-bb36-4607-3370-4164db56a40e",
        "detail-type": "EC2 Spot Instance Interruption Warning",
        "source": "aws.ec2",
        "account": account.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [f"arn:aws:ec2:us-east-1b:instance/{instance_id}"],
        "detail": {"instance-id": instance_id, "instance-action": "terminate"},
    }

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from spotd.app import Daemon, built
from spotd.config import Config, DiscoveryConfig
from spotd.errors import Conflict
from spotd.model.account import Account, Status
from spotd.sim.process import SimulatedAws
from spotd.store import accounts, instances

AddFault = Callable[..., object]
INTERVAL = 1.0


@pytest.fixture
async def daemon(settings: Config) -> AsyncIterator[Daemon]:
    """A daemon that re-scans each region every second."""
    async with built(replace(settings, discovery=DiscoveryConfig(interval=INTERVAL))) as parts:
        yield parts


@pytest.fixture
async def active(daemon: Daemon, connected: Account) -> Account:
    """An account whose first discovery the planner found and a worker ran."""
    await daemon.rescanner.plan()
    await daemon.rescanner.discover_next()
    return await accounts.get(daemon.base.db, connected.id)


async def rescan(daemon: Daemon, account: Account, done: Callable[[Account], bool]) -> Account:
    """Scan what falls due until something holds of the account."""
    await daemon.rescanner.plan()
    while not done(account):
        await daemon.rescanner.rescan_next()
        account = await accounts.get(daemon.base.db, account.id)
    return account


async def found(daemon: Daemon, account: Account, region: str) -> set[str]:
    return {one.instance.instance_id for one in await instances.live(daemon.base.db, account.id, region)}


def holds(kind: str, status: bool) -> Callable[[Account], bool]:  # noqa: FBT001 - it is the condition's own value
    return lambda account: any(c.type == kind and c.status is status for c in account.conditions)


async def test_the_planner_finds_a_connected_account(active: Account) -> None:
    """The row is the job: planning and one worker's turn make a connected account active."""
    assert active.status is Status.ACTIVE


async def test_a_new_instance_is_found_by_the_next_scan(
    daemon: Daemon, active: Account, simulator: SimulatedAws
) -> None:
    """Each region of an active account is scanned again on its interval."""
    known = len(await instances.live(daemon.base.db, active.id))
    launched = simulator.control(
        "launch", {"account_id": active.account_id, "region": "eu-west-1", "instance_type": "m5.large"}
    )["instance_ids"]
    await daemon.rescanner.plan()

    while len(await instances.live(daemon.base.db, active.id)) == known:
        await daemon.rescanner.rescan_next()

    simulator.control("terminate", {"instance_id": launched[0], "forget": True})
    assert await instances.by_ids(daemon.base.db, launched)


async def test_a_failing_region_backs_off_alone_and_recovers(
    daemon: Daemon, active: Account, simulator: SimulatedAws, faults: AddFault
) -> None:
    """Its condition says so, its rows stay, the account stays active; once AWS answers again so does the condition."""
    kept = await found(daemon, active, "eu-west-1")
    faults(operation="DescribeInstances", region="eu-west-1", code="InternalError", status=500)

    broken = await rescan(daemon, active, holds("RegionReachable/eu-west-1", status=False))
    simulator.control("faults", {"clear": True})
    await daemon.rescanner.request_rediscovery(active.id)
    whole = await rescan(daemon, broken, holds("RegionReachable/eu-west-1", status=True))

    assert broken.status is whole.status is Status.ACTIVE
    assert await found(daemon, active, "eu-west-1") == kept


async def test_lost_credentials_leave_the_account_active(daemon: Daemon, active: Account, faults: AddFault) -> None:
    """Keys that stop working are told by a condition; the status stays, and so do the rows."""
    faults(service="ec2", code="AuthFailure", status=401, message="AWS was not able to validate the credentials")

    account = await rescan(daemon, active, holds("CredentialsValid", status=False))

    assert account.status is Status.ACTIVE
    assert await instances.live(daemon.base.db, active.id)


async def test_a_region_denied_later_is_excluded(daemon: Daemon, active: Account, faults: AddFault) -> None:
    """An SCP that comes after onboarding excludes its region."""
    message = "not authorized with an explicit deny in a service control policy"
    faults(operation="DescribeInstances", region="us-east-1", code="UnauthorizedOperation", status=403, message=message)

    assert await rescan(daemon, active, holds("RegionExcluded/us-east-1", status=True))


@pytest.mark.parametrize("status", [Status.PENDING, Status.FAILED])
async def test_re_discovery_of_what_is_not_connected_names_reconnect(daemon: Daemon, status: Status) -> None:
    """A pending or failed account is reconnected, not re-discovered."""
    now = daemon.base.clock.now()
    account = await daemon.onboarding.create_pending(account_id="123456789012", name="new", regions=())
    if status is Status.FAILED:
        await accounts.transition(daemon.base.db, account.id, Status.CONNECTED, now=now)
        await accounts.transition(daemon.base.db, account.id, Status.FAILED, now=now, error="broken")

    with pytest.raises(Conflict, match="reconnect"):
        await daemon.rescanner.request_rediscovery(account.id)


async def test_a_removed_account_is_not_scanned_again(daemon: Daemon, active: Account) -> None:
    """Its scopes leave the schedule with its row."""
    await daemon.rescanner.plan()
    await daemon.onboarding.remove(active)

    await daemon.rescanner.rescan_next()
    await daemon.rescanner.plan()

    assert daemon.rescanner.waiting == 0

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from spotd.app import Daemon, built
from spotd.config import Config, DiscoveryConfig
from spotd.model.account import AccessKeys, Account, Status
from spotd.sim.process import SimulatedAws
from spotd.store import accounts, instances, scopes

AddFault = Callable[..., object]


async def discovered(daemon: Daemon, account: Account) -> Account:
    await daemon.discovery.run_initial_discovery(account.id)
    return await accounts.get(daemon.base.db, account.id)


def conditions(account: Account) -> dict[str, bool]:
    return {condition.type: condition.status for condition in account.conditions}


async def test_throttling_in_a_region_is_waited_out(daemon: Daemon, connected: Account, faults: AddFault) -> None:
    """A region that says "slower" for a while delays the account, it does not fail it."""
    faults(operation="DescribeInstances", region="eu-west-1", code="RequestLimitExceeded", status=503, times=4)

    account = await discovered(daemon, connected)

    assert account.status is Status.ACTIVE
    assert await instances.live(daemon.base.db, account.id, "eu-west-1")


async def test_a_region_denied_from_above_is_excluded(daemon: Daemon, connected: Account, faults: AddFault) -> None:
    """An SCP on one region leaves a condition, and the account becomes active with the others."""
    faults(
        operation="DescribeInstances",
        region="us-west-2",
        code="UnauthorizedOperation",
        status=403,
        message="You are not authorized: explicit deny in a service control policy",
    )

    account = await discovered(daemon, connected)

    assert account.status is Status.ACTIVE
    assert conditions(account)["RegionExcluded/us-west-2"]
    assert await instances.live(daemon.base.db, account.id, "us-east-1")


async def test_denied_everywhere_the_account_fails_and_says_why(
    daemon: Daemon, connected: Account, faults: AddFault
) -> None:
    """A role that may not list anything is a permanent error, kept in the metadata with its time."""
    faults(operation="DescribeInstances", code="UnauthorizedOperation", status=403, message="no policy allows it")

    account = await discovered(daemon, connected)

    assert account.status is Status.FAILED
    assert "UnauthorizedOperation" in account.metadata["error"]
    assert account.metadata["error_at"]


async def test_keys_that_stopped_working_fail_the_account(daemon: Daemon, connected: Account, faults: AddFault) -> None:
    """Keys deleted between connect and discovery are a permanent error."""
    faults(service="ec2", code="AuthFailure", status=401, message="AWS was not able to validate the credentials")

    account = await discovered(daemon, connected)

    assert account.status is Status.FAILED
    assert "AuthFailure" in account.metadata["error"]


@pytest.mark.parametrize(
    "fault",
    [
        {"code": "InternalError", "status": 500},
        {"truncate": "body"},
        {"truncate": "connection"},
        {"drop": True},
    ],
    ids=["5xx", "page cut", "answer breaks off", "connection dropped"],
)
async def test_a_region_that_stays_broken_fails_the_account_at_the_deadline(
    daemon: Daemon, settings: Config, connected: Account, faults: AddFault, fault: dict[str, object]
) -> None:
    """Without a complete listing of every region an account is not active, and what was found stays."""
    faults(operation="DescribeInstances", region="ap-southeast-1", **fault)
    async with built(replace(settings, discovery=DiscoveryConfig(first_deadline=4.0))) as hasty:
        account = await discovered(hasty, connected)

    assert account.status is Status.FAILED
    assert "no complete listing within 4 s" in account.metadata["error"]
    assert await instances.live(daemon.base.db, account.id, "us-east-1")


async def test_a_denied_load_balancer_api_costs_only_its_own_facts(
    daemon: Daemon, connected: Account, faults: AddFault
) -> None:
    """AccessDenied on one API leaves the fleet complete and says what is missing."""
    faults(service="elbv2", code="AccessDenied", status=403, message="no policy allows it")

    account = await discovered(daemon, connected)

    assert account.status is Status.ACTIVE
    assert not conditions(account)["LoadBalancersReadable/us-east-1"]


async def test_prices_that_cannot_be_read_do_not_hold_the_account_back(
    daemon: Daemon, connected: Account, faults: AddFault
) -> None:
    """The first look is one bounded attempt: what fails stays unknown."""
    faults(operation="DescribeSpotPriceHistory", code="UnauthorizedOperation", status=403)
    faults(service="pricing", code="AccessDeniedException", status=400)

    account = await discovered(daemon, connected)

    assert account.status is Status.ACTIVE


async def test_a_failed_pass_deletes_nothing(daemon: Daemon, connected: Account, faults: AddFault) -> None:
    """A region that fails keeps its rows, and its scope says why it is stale."""
    account = await discovered(daemon, connected)
    before = await instances.live(daemon.base.db, account.id, "eu-west-1")
    faults(operation="DescribeInstances", region="eu-west-1", code="InternalError", status=500)

    with pytest.raises(Exception, match="InternalError"):
        await daemon.discovery.trigger_rediscovery(account.id)

    stale = {scope.region: scope for scope in await scopes.all_scopes(daemon.base.db, account.id)}["eu-west-1"]
    assert await instances.live(daemon.base.db, account.id, "eu-west-1") == before
    assert "InternalError" in (stale.error or "")


async def test_what_a_complete_listing_does_not_see_becomes_a_tombstone(
    daemon: Daemon, connected: Account, simulator: SimulatedAws
) -> None:
    """An instance that is gone from AWS is ended by the next complete pass, and only it."""
    account = await discovered(daemon, connected)
    before = {one.instance.instance_id for one in await instances.live(daemon.base.db, account.id)}
    gone = min(before)
    simulator.control("terminate", {"instance_id": gone, "at_once": True})

    await daemon.discovery.trigger_rediscovery(account.id)

    after = {one.instance.instance_id for one in await instances.live(daemon.base.db, account.id)}
    assert before - after == {gone}


async def test_two_accounts_do_not_share_their_failures(
    daemon: Daemon, connected: Account, simulator: SimulatedAws, faults: AddFault
) -> None:
    """One account's bad credentials leave the other's discovery alone."""
    other = simulator.accounts[1]
    keys = AccessKeys(access_key_id=other.access_key_id, secret_access_key=other.secret_access_key)
    second = await daemon.onboarding.connect_keys(account_id=other.account_id, name=other.name, keys=keys, regions=())
    faults(service="ec2", account_id=connected.account_id, code="AuthFailure", status=401)

    async with asyncio.TaskGroup() as group:
        first_task = group.create_task(discovered(daemon, connected))
        second_task = group.create_task(discovered(daemon, second))

    assert (first_task.result().status, second_task.result().status) == (Status.FAILED, Status.ACTIVE)

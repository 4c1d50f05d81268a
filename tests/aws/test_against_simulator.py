"""The edge against the simulated AWS, which checks signatures, policies and trust as AWS does."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from spotd.aws import instances as ec2
from spotd.aws import metrics, onboarding, prices
from spotd.aws.credentials import KeyCredentials
from spotd.aws.errors import AwsError, Denial, Trouble
from spotd.aws.policies import permission_policy, policies_for
from spotd.aws.queue import Queue
from spotd.aws.session import AccountSession, Aws
from spotd.clock import SystemClock
from spotd.config import AwsConfig
from spotd.errors import InvalidInput
from spotd.model.account import AccessKeys, RoleGrant
from spotd.model.instance import Lifecycle
from spotd.sim.process import SimulatedAccount, SimulatedAws, running_simulator

MANAGED = "spotd:managed=true"
HOME = "us-east-1"


@pytest.fixture(scope="module")
def _simulator() -> Iterator[SimulatedAws]:
    with running_simulator(instances=60) as simulator:
        yield simulator


@pytest.fixture
def sim(_simulator: SimulatedAws) -> Iterator[SimulatedAws]:
    """A simulator without faults, whose rights a test may change for its time."""
    yield _simulator
    _simulator.control("faults", {"clear": True})
    _simulator.control("clock", {"offset_seconds": 0})
    for account in _simulator.accounts:
        _simulator.control("policy", {"arn": account.role_arn, "document": None})
        _simulator.control("trust", {"role_arn": account.role_arn, "external_id": account.external_id})


@pytest.fixture
async def aws(sim: SimulatedAws) -> AsyncIterator[Aws]:
    """The edge in front of the simulator, with the daemon's own identity."""
    own = KeyCredentials(pair(sim.daemon))
    async with Aws(AwsConfig(endpoint_url=sim.endpoint, request_timeout=5), SystemClock(), own=own) as edge:
        yield edge


@pytest.fixture
def session(aws: Aws, sim: SimulatedAws) -> AccountSession:
    """The first account, through its role."""
    return aws.session_for(sim.accounts[0].account_id, grant(sim.accounts[0]))


def pair(account: SimulatedAccount) -> AccessKeys:
    """Return the account's keys."""
    return AccessKeys(access_key_id=account.access_key_id, secret_access_key=account.secret_access_key)


def grant(account: SimulatedAccount) -> RoleGrant:
    """Return the account's role with its ExternalId."""
    return RoleGrant(role_arn=account.role_arn, external_id=account.external_id)


async def everything(session: AccountSession) -> None:
    """Use each operation the daemon uses in an account."""
    found = [each async for page in ec2.list_instances(session, HOME, MANAGED) for each in page.instances]
    names, now = {each.instance_type for each in found}, datetime.now(UTC)
    await ec2.enabled_regions(session)
    await ec2.zones(session, HOME)
    await ec2.load_balancers_of(session, HOME)
    await ec2.list_instance_types(session, HOME, names)
    await metrics.cpu_usage(session, HOME, [each.instance_id for each in found], now=now)
    await prices.on_demand_prices(session, HOME, names)
    window = {"start": now - timedelta(hours=1), "end": now}
    async for _page in prices.spot_price_history(
        session, HOME, instance_types=names, products=["Linux/UNIX"], **window
    ):
        pass


async def test_the_policy_given_out_is_enough(sim: SimulatedAws, session: AccountSession) -> None:
    """A role with exactly the generated permissions serves every read."""
    sim.control("policy", {"arn": sim.accounts[0].role_arn, "document": dict(permission_policy())})
    await everything(session)


async def test_nothing_in_the_policy_given_out_is_idle(sim: SimulatedAws, session: AccountSession) -> None:
    """Without any one of its actions one read is denied, and the error names it."""
    actions = {action for statement in permission_policy()["Statement"] for action in statement["Action"]}
    for missing in sorted(actions):
        rest = {"Effect": "Allow", "Action": sorted(actions - {missing}), "Resource": "*"}
        document = {"Version": "2012-10-17", "Statement": [rest]}
        sim.control("policy", {"arn": sim.accounts[0].role_arn, "document": document})
        with pytest.raises(AwsError) as caught:
            await everything(session)
        assert (caught.value.operation, caught.value.denial) == (missing.partition(":")[2], Denial.PERMISSION)


async def test_a_role_made_from_the_documents_given_out_is_accepted(sim: SimulatedAws, aws: Aws) -> None:
    """Our own policies pass our own proof."""
    account, daemon = sim.accounts[1], await onboarding.own_identity(aws)
    external_id = onboarding.new_external_id()
    documents = policies_for(external_id=external_id, daemon_arn=daemon.arn)
    [statement] = documents.trust["Statement"]
    trusted = {"external_id": external_id, "principal": statement["Principal"]["AWS"]}
    sim.control("trust", {"role_arn": account.role_arn, **trusted})
    sim.control("policy", {"arn": account.role_arn, "document": dict(documents.permissions)})
    identity = await onboarding.verify_role(aws, RoleGrant(role_arn=account.role_arn, external_id=external_id))
    assert identity.account_id == account.account_id


async def test_keys_and_roles_are_proven(sim: SimulatedAws, aws: Aws) -> None:
    """Valid credentials tell whose they are."""
    account = sim.accounts[0]
    by_keys = await onboarding.verify_access_keys(aws, pair(account), account_id=account.account_id, regions=[HOME])
    by_role = await onboarding.verify_role(aws, grant(account), regions=[HOME])
    assert by_keys.account_id == by_role.account_id == account.account_id


async def test_a_role_open_to_everybody_is_refused(sim: SimulatedAws, aws: Aws) -> None:
    """A trust policy without the ExternalId condition is found out."""
    account = sim.accounts[0]
    open_role = RoleGrant(role_arn=account.open_role_arn, external_id=account.external_id)
    with pytest.raises(onboarding.RoleIgnoresExternalId) as caught:
        await onboarding.verify_role(aws, open_role)
    assert caught.value.field == "role_arn"


async def test_wrong_keys_are_refused_by_name(sim: SimulatedAws, aws: Aws) -> None:
    """An unknown key, a wrong secret, another account's keys and an unknown region each say what is wrong."""
    account, other = sim.accounts
    right = pair(account)
    tried = [
        (AccessKeys(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="x"), (), "InvalidClientTokenId"),
        (AccessKeys(access_key_id=right.access_key_id, secret_access_key="x"), (), "SignatureDoesNotMatch"),
        (pair(other), (), f"belong to account {other.account_id}"),
        (right, ["eu-wst-1"], "did you mean eu-west-1"),
    ]
    for keys, regions, told in tried:
        with pytest.raises(InvalidInput, match=told):
            await onboarding.verify_access_keys(aws, keys, account_id=account.account_id, regions=regions)


async def test_a_fleet_is_listed_with_what_surrounds_it(session: AccountSession) -> None:
    """Membership, zones and load balancers of a generated fleet agree with each other."""
    found = {
        each.instance_id: each async for page in ec2.list_instances(session, HOME, MANAGED) for each in page.instances
    }
    zone_ids = await ec2.zones(session, HOME)
    balancers = await ec2.load_balancers_of(session, HOME)
    assert {each.account_id for each in found.values()} == {session.account_id}
    assert all(each.az_id == zone_ids[each.availability_zone or ""] for each in found.values())
    assert {each.lifecycle for each in found.values()} >= {Lifecycle.ON_DEMAND, Lifecycle.SPOT}
    assert balancers.keys() <= found.keys()
    assert any(each.asg_name for each in found.values())
    assert any(each.managed for each in found.values())


async def test_a_price_in_force_before_the_window_is_told_too(session: AccountSession) -> None:
    """A pool that did not move still has a price, and every price is positive and of the asked pools."""
    now = datetime.now(UTC)
    pages = prices.spot_price_history(
        session, HOME, instance_types=["m5.large"], products=["Linux/UNIX"], start=now - timedelta(seconds=1), end=now
    )
    found = [each async for page in pages for each in page]
    assert len({each.az for each in found}) >= 3
    assert {(each.instance_type, each.product, each.region) for each in found} == {("m5.large", "Linux/UNIX", HOME)}
    assert all(each.micros > 0 and each.az_id for each in found)


async def test_on_demand_prices_come_for_one_type_and_for_all_alike(session: AccountSession) -> None:
    """However many are asked for at once, the prices are the same."""
    few = await prices.on_demand_prices(session, HOME, ["m5.large"])
    names = [each.name for each in await ec2.list_instance_types(session, HOME)]
    many = await prices.on_demand_prices(session, HOME, names, products=["Linux/UNIX"])
    linux = {each.instance_type: each.micros for each in many}
    assert {each.micros for each in few if each.product == "Linux/UNIX"} == {linux["m5.large"]} == {96_000}


async def test_a_clock_that_is_wrong_is_named(sim: SimulatedAws, aws: Aws) -> None:
    """AWS's refusal of a signature from another time is told as what it is."""
    account = sim.accounts[0]
    sim.control("clock", {"offset_seconds": 3600})
    with pytest.raises(AwsError, match="clock") as caught:
        await aws.session_for(account.account_id, pair(account)).call("ec2", HOME, "DescribeRegions")
    assert caught.value.trouble is Trouble.TRANSIENT


async def test_a_session_that_ends_early_is_opened_anew(sim: SimulatedAws, session: AccountSession) -> None:
    """Revoked sessions are replaced in the middle of the work."""
    await session.call("ec2", HOME, "DescribeRegions")
    sim.control("expire-sessions", {})
    await session.call("ec2", HOME, "DescribeRegions")


async def test_messages_leave_the_queue_only_when_deleted(sim: SimulatedAws, aws: Aws) -> None:
    """A notice is received, deleted, and gone; the depth agrees."""
    queue = Queue(aws.own(), sim.queue_url)
    sim.control("interrupt", {})
    received = await queue.receive(wait_seconds=5)
    assert "Interruption" in received[0].body
    assert received[0].deliveries == 1
    await queue.delete(received)
    assert await queue.receive(wait_seconds=0) == ()
    assert await queue.depth() == 0

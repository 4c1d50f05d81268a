"""Onboarding: proofs before, seals after; races and wrong keys."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from spotd.aws.credentials import KeyCredentials
from spotd.aws.session import Aws
from spotd.changes import Changes
from spotd.config import AwsConfig
from spotd.crypto import KeyRing
from spotd.errors import Conflict, InvalidInput, NotFound, WrongKey
from spotd.loops.onboarding import Onboarding, grant_of, open_keys, seal_keys
from spotd.loops.supervisor import settled
from spotd.model.account import AccessKeys, RoleGrant, Status
from spotd.store import accounts
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate
from tests.aws.fakes import FakeAws, Seen, fake_aws, identity, query_refusal, regions, role_session

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
ACCOUNT = "111111111111"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/spotd-discover"
KEYS = AccessKeys(access_key_id="AKIAIOSFODNN7EXAMPLE", secret_access_key="wJalrXUtnFEMI-not-a-real-one")


class FixedClock:
    """A wall clock that stands still."""

    def now(self) -> datetime:
        """Return the time it stands at."""
        return NOW


@pytest.fixture(params=["sqlite", "postgres"])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A store with the newest schema, on each engine in turn."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:{tmp_path / 'spotd.db'}" if sqlite else str(request.getfixturevalue("fresh_postgres_url"))
    store = await open_database(url, pool_size=4)
    try:
        await migrate(store, now=NOW)
        yield store
    finally:
        await store.close()


@pytest.fixture
async def fake() -> AsyncIterator[FakeAws]:
    """An AWS that knows one account, whose role opens with any ExternalId that spotd made for it."""
    async with fake_aws() as server:
        server.on("GetCallerIdentity", _who).on("DescribeRegions", regions("us-east-1", "eu-west-1"))
        yield server


def _who(seen: Seen) -> web.StreamResponse:
    if seen.access_key == "OWN":
        return identity("999999999999", "arn:aws:iam::999999999999:user/spotd")
    return identity(ACCOUNT)


@pytest.fixture
async def aws(fake: FakeAws) -> AsyncIterator[Aws]:
    """The edge, with the fake for every service."""
    config = AwsConfig(endpoint_url=fake.endpoint, connect_timeout=1.0, request_timeout=1.0, rate_share=1.0)
    own = KeyCredentials(AccessKeys(access_key_id="OWN", secret_access_key="own-secret"))
    async with Aws(config, FixedClock(), own=own) as edge:
        yield edge


@pytest.fixture
def keyring() -> KeyRing:
    """A key ring of one key."""
    return KeyRing.generate()


@pytest.fixture
def woken() -> list[str]:
    """One entry for each time discovery was woken."""
    return []


@pytest.fixture
def onboarding(db: Database, aws: Aws, keyring: KeyRing, woken: list[str]) -> Onboarding:
    """Onboarding as the daemon composes it."""
    clock = FixedClock()
    return Onboarding(
        db=db,
        aws=aws,
        keyring=keyring,
        clock=clock,
        changes=Changes(clock=clock),
        wake=lambda: woken.append("discovery"),
    )


async def test_grant_is_what_was_proven(db: Database, onboarding: Onboarding, keyring: KeyRing) -> None:
    """The stored keys open to what was given, for their own row only."""
    account = await onboarding.connect_keys(account_id=ACCOUNT, name="a", keys=KEYS, regions=("eu-west-1",))

    assert await grant_of(db, keyring, account) == KEYS
    assert (account.status, account.regions) == (Status.CONNECTED, ("eu-west-1",))


async def test_sealed_keys_do_not_open_elsewhere(keyring: KeyRing) -> None:
    """Ciphertext copied to another row, to another field, or read with another key does not open."""
    sealed = seal_keys(keyring, 1, KEYS)
    swapped = dict(zip(sealed, list(sealed.values())[::-1], strict=True))

    assert open_keys(keyring, 1, sealed) == KEYS
    for ring, row, ciphertexts in ((keyring, 2, sealed), (keyring, 1, swapped), (KeyRing.generate(), 1, sealed)):
        with pytest.raises(WrongKey):
            open_keys(ring, row, ciphertexts)


async def test_account_without_credentials_has_no_grant(db: Database, onboarding: Onboarding, keyring: KeyRing) -> None:
    """A pending account is told to connect, not read as having empty keys."""
    account = await onboarding.create_pending(account_id=ACCOUNT, name="a", regions=())

    with pytest.raises(Conflict, match="POST /connect"):
        await grant_of(db, keyring, account)


async def test_external_ids_are_long_and_different(onboarding: Onboarding) -> None:
    """Every account gets an ExternalId of its own, with 128 random bits."""
    made = [await onboarding.create_pending(account_id=f"{n:012}", name="a", regions=()) for n in range(3)]
    external_ids = {account.external_id for account in made}

    assert len(external_ids) == 3
    assert all(each and len(each) >= 32 for each in external_ids)


async def test_external_id_never_changes(db: Database, fake: FakeAws, onboarding: Onboarding) -> None:
    """Connecting, failing and connecting again keep the ExternalId that the owner's role asks for."""
    account = await onboarding.create_pending(account_id=ACCOUNT, name="a", regions=())
    await onboarding.connect_keys(account_id=ACCOUNT, name="a", keys=KEYS, regions=())
    await accounts.transition(db, account.id, Status.FAILED, now=NOW, error="lost")
    _guard(fake, account.external_id)
    again = await onboarding.connect_role(role_arn=ROLE)

    assert again.external_id == account.external_id
    assert again.status is Status.CONNECTED


async def test_failed_account_connects_again(db: Database, onboarding: Onboarding, woken: list[str]) -> None:
    """An explicit reconnect brings a failed account back, forgets its error and wakes discovery."""
    account = await onboarding.connect_keys(account_id=ACCOUNT, name="a", keys=KEYS, regions=())
    await accounts.transition(db, account.id, Status.FAILED, now=NOW, error="lost")
    again = await onboarding.connect_keys(account_id=ACCOUNT, name="b", keys=KEYS, regions=())

    assert (again.id, again.status, again.name) == (account.id, Status.CONNECTED, "b")
    assert "error" not in again.metadata
    assert woken == ["discovery", "discovery"]


async def test_two_at_once_connect_once(onboarding: Onboarding, woken: list[str]) -> None:
    """Of two connects at the same moment one wins and the other is told of the conflict."""
    attempts = [onboarding.connect_keys(account_id=ACCOUNT, name="a", keys=KEYS, regions=()) for _ in range(2)]
    outcomes = await settled(attempts, limit=2)

    assert [type(each.error) for each in outcomes if each.error] == [Conflict]
    assert woken == ["discovery"]


async def test_role_is_tried_three_ways(fake: FakeAws, onboarding: Onboarding) -> None:
    """A role is proven with its ExternalId, with a wrong one and without any."""
    account = await onboarding.create_pending(account_id=ACCOUNT, name="a", regions=())
    _guard(fake, account.external_id)
    await onboarding.connect_role(role_arn=ROLE)
    tried = [seen.params.get("ExternalId") for seen in fake.calls("AssumeRole")]

    assert tried[0] == account.external_id
    assert None in tried
    assert len(set(tried)) == 3


async def test_role_replaces_keys(db: Database, fake: FakeAws, onboarding: Onboarding, keyring: KeyRing) -> None:
    """After a change to a role the grant is the role, and no sealed key is left."""
    account = await onboarding.connect_keys(account_id=ACCOUNT, name="a", keys=KEYS, regions=())
    _guard(fake, account.external_id)
    replaced = await onboarding.replace_role(account, role_arn=ROLE)

    assert account.external_id is not None
    assert await grant_of(db, keyring, replaced) == RoleGrant(role_arn=ROLE, external_id=account.external_id)
    assert await accounts.secrets(db, account.id) == {}


async def test_throttled_probe_decides_nothing(db: Database, fake: FakeAws, onboarding: Onboarding) -> None:
    """A probe that AWS throttles is no proof: the account stays pending and the error may be retried."""
    account = await onboarding.create_pending(account_id=ACCOUNT, name="a", regions=())

    def busy(seen: Seen) -> web.StreamResponse:
        if seen.params.get("ExternalId") == account.external_id:
            return role_session("ASIAROLE", "token", "2027-11-23T22:00:00Z")
        return query_refusal("Throttling", "Rate exceeded")

    fake.on("AssumeRole", busy)
    with pytest.raises(Exception, match="Throttling") as caught:
        await onboarding.connect_role(role_arn=ROLE)

    assert not isinstance(caught.value, InvalidInput)
    assert (await accounts.get(db, account.id)).status is Status.PENDING


async def test_verify_tells_good_from_lost(db: Database, fake: FakeAws, onboarding: Onboarding) -> None:
    """Verification keeps its result as a condition and never changes the status."""
    account = await onboarding.connect_keys(account_id=ACCOUNT, name="a", keys=KEYS, regions=())
    good = await onboarding.verify(account)
    fake.on("GetCallerIdentity", query_refusal("InvalidClientTokenId", status=403))
    lost = await onboarding.verify(account)
    stored = await accounts.get(db, account.id)

    assert (good.valid, lost.valid) == (True, False)
    assert [(c.type, c.status, c.reason) for c in stored.conditions] == [("CredentialsValid", False, "Refused")]
    assert stored.status is Status.CONNECTED


async def test_removing_twice(db: Database, onboarding: Onboarding) -> None:
    """An account can be removed once."""
    account = await onboarding.create_pending(account_id=ACCOUNT, name="a", regions=())
    await onboarding.remove(account)

    assert await accounts.find(db, ACCOUNT) is None
    with pytest.raises(NotFound):
        await onboarding.remove(account)


def _guard(fake: FakeAws, external_id: str | None) -> None:
    """Let the role open with this ExternalId only."""

    def assume(seen: Seen) -> web.StreamResponse:
        if seen.params.get("ExternalId") == external_id:
            return role_session("ASIAROLE", "token", "2027-11-23T22:00:00Z")
        return query_refusal("AccessDenied", "not authorized to perform sts:AssumeRole", status=403)

    fake.on("AssumeRole", assume)

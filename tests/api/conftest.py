"""A real API on a real store in front of a fake AWS."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import aiohttp
import aiohttp.web
import pytest

from spotd.api.limits import Limits
from spotd.api.server import ApiServer, Listen, create_app
from spotd.api.services import Pulse, Services
from spotd.api.tokens import ensure_admin_token
from spotd.aws.credentials import KeyCredentials
from spotd.aws.events import parse
from spotd.aws.session import Aws
from spotd.changes import Changes
from spotd.config import AwsConfig
from spotd.crypto import KeyRing
from spotd.errors import Conflict
from spotd.loops.onboarding import Onboarding
from spotd.loops.supervisor import settled
from spotd.model.account import AccessKeys, Account
from spotd.model.event import Verdict
from spotd.model.health import ComponentHealth, ComponentState
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate
from tests.aws.fakes import FakeAws, Seen, fake_aws, identity, query_refusal, regions, role_session

NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)
ACCOUNT = "111111111111"
OTHER = "222222222222"
SECRET = b"an events secret"


class HandClock:
    """A wall clock that a test moves by hand."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time

    def forward(self, **by: float) -> None:
        """Move on, by `timedelta`'s names."""
        self.time += timedelta(**by)


class Reply(NamedTuple):
    """An answer, read to its end."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Client:
    """Talks to one server as one token."""

    session: aiohttp.ClientSession
    url: str
    token: str | None = None

    def using(self, token: str | None) -> "Client":
        """Return the same client with another token."""
        return replace(self, token=token)

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        """Send one request; JSON answers come decoded, others as text."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers.update(options.pop("headers", {}))
        async with self.session.request(method, self.url + path, headers=headers, **options) as answer:
            text = await answer.text()
            decoded = await answer.json(content_type=None) if "json" in answer.content_type else text
            return Reply(answer.status, decoded, answer.headers)

    async def get(self, path: str, **options: Any) -> Reply:
        """Send a GET."""
        return await self("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> Reply:
        """Send a POST."""
        return await self("POST", path, json=json, **options)


@dataclass
class Daemon:
    """What stands in for the rest of the daemon, for a test to turn; everything else is real."""

    clock: HandClock
    changes: Changes
    components: dict[str, ComponentHealth] = field(default_factory=dict)
    beats: dict[str, Pulse] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    results: dict[str, object] = field(default_factory=dict)
    ticked: list[str] = field(default_factory=list)
    discovered: list[str] = field(default_factory=list)
    ingested: list[tuple[bytes, str]] = field(default_factory=list)
    refuse_reload: Exception | None = None
    reloaded: dict[str, Any] = field(default_factory=lambda: {"changed": []})

    async def tick_now(self, name: str) -> object:
        """Note which loop was asked to run, and do what the test wants of it."""
        self.ticked.append(name)
        result = self.results.get(name)
        if isinstance(result, Exception):
            raise result
        return result

    async def discover(self, account: Account) -> None:
        """Note which account was asked to be scanned; a pending one is refused as the daemon does."""
        if account.status == "pending":
            raise Conflict("the account is pending: reconnect it first (POST /connect)")
        self.discovered.append(account.account_id)

    async def ingest(self, raw: bytes, source: str) -> Sequence[Verdict]:
        """Say what the parser says, without storing."""
        self.ingested.append((raw, source))
        return parse(raw, now=self.clock.now())

    async def reload(self) -> Mapping[str, Any]:
        """Answer what a reload changed, or refuse it."""
        if self.refuse_reload is not None:
            raise self.refuse_reload
        return self.reloaded


@dataclass
class Stage:
    """A running API with everything a test may look at."""

    db: Database
    fake: FakeAws
    daemon: Daemon
    services: Services
    state_dir: Path
    server: ApiServer
    client: Client
    woken: list[None]

    @property
    def clock(self) -> HandClock:
        """The wall clock."""
        return self.daemon.clock

    async def token(self, *scopes: str, account_id: str | None = None) -> Client:
        """Return a client with a new token of these scopes."""
        body = {"name": "test", "scopes": scopes, "account_id": account_id}
        reply = await self.client.post("/api/v1/tokens", body)
        assert reply.status == 201, reply
        return self.client.using(reply.body["token"])


def component(status: ComponentState = ComponentState.HEALTHY, *, enabled: bool = True) -> ComponentHealth:
    """Return one component's health."""
    return ComponentHealth(status=status, enabled=enabled, details={}, since=NOW, checked_at=NOW)


def pulse(started: float | None = None, last_ok: float | None = None) -> Pulse:
    """Return one loop's pulse."""
    return SimpleNamespace(started=started, last_ok=last_ok, failures=0, last_error=None)


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, on each engine in turn."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spotd.db'}"
    url: str = request.getfixturevalue("fresh_postgres_url")
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of an empty SQLite store, where the engine does not matter."""
    return f"sqlite:{tmp_path / 'spotd.db'}"


@asynccontextmanager
async def staged(url: str, state_dir: Path, *, limits: Limits | None = None) -> AsyncIterator[Stage]:
    """Run the API on this store."""
    clock = HandClock()
    daemon = Daemon(clock=clock, changes=Changes(capacity=100, clock=clock))
    woken: list[None] = []
    db = await open_database(url, pool_size=4)
    try:
        await migrate(db, now=NOW)
        own = KeyCredentials(AccessKeys(access_key_id="OWN", secret_access_key="own-secret"))
        async with fake_aws() as fake, aiohttp.ClientSession() as session:
            config = AwsConfig(endpoint_url=fake.endpoint, connect_timeout=1.0, request_timeout=1.0, rate_share=1.0)
            async with Aws(config, clock, own=own) as aws:
                services = _services(db, aws, daemon, woken)
                token = (await ensure_admin_token(db, state_dir, clock)).read_text().strip()
                listen = Listen(port=0, socket=state_dir / "spotd.sock")
                server = ApiServer(create_app(services, limits=limits), listen)
                await server.start()
                try:
                    client = Client(session, server.url, token)
                    yield Stage(db, fake, daemon, services, state_dir, server, client, woken)
                finally:
                    await server.stop()
    finally:
        await db.close()


def _services(db: Database, aws: Aws, daemon: Daemon, woken: list[None]) -> Services:
    onboarding = Onboarding(
        db=db,
        aws=aws,
        keyring=KeyRing.generate(),
        clock=daemon.clock,
        changes=daemon.changes,
        wake=lambda: woken.append(None),
    )
    return Services(
        db=db,
        clock=daemon.clock,
        changes=daemon.changes,
        onboarding=onboarding,
        discover=daemon.discover,
        tick_now=daemon.tick_now,
        reload=daemon.reload,
        ingest=daemon.ingest,
        health=lambda: daemon.components,
        pulses=lambda: daemon.beats,
        metrics=lambda: {"events.accepted_total": 3.0},
        breakers=list,
        unready=lambda: daemon.reasons,
        side_by_side=settled,
        version="0.0.0",
        signing_secret=SECRET,
    )


@pytest.fixture
async def stage(store_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A running API, on each engine in turn."""
    async with staged(store_url, tmp_path) as running:
        yield running


@pytest.fixture
async def lite(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """A running API on SQLite."""
    async with staged(sqlite_url, tmp_path) as running:
        yield running


def accepting_keys(fake: FakeAws, account_id: str = ACCOUNT) -> FakeAws:
    """Let AWS accept any key pair as this account's."""
    own = identity("999999999999", "arn:aws:iam::999999999999:user/spotd")
    mine = identity(account_id)
    fake.on("GetCallerIdentity", lambda seen: _copied(own if seen.access_key == "OWN" else mine))
    return fake.on("DescribeRegions", regions("us-east-1", "eu-west-1", closed=("af-south-1",)))


def refusing_keys(fake: FakeAws) -> FakeAws:
    """Let AWS refuse any key pair."""
    return fake.on(
        "GetCallerIdentity", query_refusal("InvalidClientTokenId", "The security token is invalid", status=403)
    )


def guarding_role(fake: FakeAws, external_id: str | None, account_id: str = ACCOUNT) -> FakeAws:
    """Let AWS open a role with this ExternalId only; None opens it to anybody."""
    until = "2027-11-23T22:00:00Z"

    def assume(seen: Seen) -> aiohttp.web.StreamResponse:
        if external_id is None or seen.params.get("ExternalId") == external_id:
            return role_session("ASIAROLE", "role-token", until)
        return query_refusal("AccessDenied", "not authorized to perform sts:AssumeRole", status=403)

    return accepting_keys(fake, account_id).on("AssumeRole", assume)


def _copied(answer: Any) -> aiohttp.web.Response:
    return aiohttp.web.Response(status=answer.status, body=answer.body, headers=answer.headers)

"""An event consumer over a real store and a fake AWS with one queue in it."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spotd.aws.credentials import KeyCredentials
from spotd.aws.queue import Queue
from spotd.aws.session import AccountSession, Aws
from spotd.changes import Changes
from spotd.config import AwsConfig
from spotd.loops.events import Effects, EventConsumer, Intake, Receiver
from spotd.model.account import AccessKeys, Account, Status
from spotd.model.instance import Instance, State
from spotd.store import accounts, instances, scopes
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate
from tests.aws.fakes import Answer, FakeAws, Seen, fake_aws, js

OURS = "111111111111"
REGION = "us-east-1"
NOW = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


@dataclass
class HandClock:
    """A wall clock that a test moves by hand."""

    time: datetime = NOW

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.time

    def forward(self, seconds: float) -> None:
        """Move on."""
        self.time += timedelta(seconds=seconds)


@dataclass
class FakeQueue:
    """A queue that gives every message again until it is deleted."""

    messages: dict[str, str] = field(default_factory=dict)
    deliveries: dict[str, int] = field(default_factory=dict)

    def serve(self, fake: FakeAws) -> None:
        """Answer on a fake AWS."""
        fake.on("ReceiveMessage", self.receive).on("DeleteMessageBatch", self.delete)
        fake.on("GetQueueAttributes", self.attributes)

    def put(self, *bodies: str) -> None:
        """Add messages."""
        for body in bodies:
            self.messages[f"m{len(self.deliveries)}"] = body
            self.deliveries[f"m{len(self.deliveries)}"] = 0

    def receive(self, _seen: Seen) -> Answer:
        """Give out up to ten messages, each with its number of deliveries."""
        given = list(self.messages.items())[:10]
        for name, _ in given:
            self.deliveries[name] += 1
        return js({"Messages": [self._message(name, body) for name, body in given]})

    def delete(self, seen: Seen) -> Answer:
        """Forget what was deleted."""
        for entry in seen.params["Entries"]:
            self.messages.pop(entry["ReceiptHandle"], None)
        return js({"Successful": [{"Id": entry["Id"]} for entry in seen.params["Entries"]], "Failed": []})

    def attributes(self, _seen: Seen) -> Answer:
        """Tell the depth."""
        return js({"Attributes": {"ApproximateNumberOfMessages": str(len(self.messages))}})

    def _message(self, name: str, body: str) -> dict[str, Any]:
        count = str(self.deliveries[name])
        return {
            "MessageId": name,
            "ReceiptHandle": name,
            "Body": body,
            "Attributes": {"ApproximateReceiveCount": count},
        }


@dataclass
class World:
    """Everything around one consumer."""

    db: Database
    aws: Aws
    fake: FakeAws
    queue: FakeQueue
    clock: HandClock
    changes: Changes
    consumer: EventConsumer
    receiver: Receiver
    woken: list[None]

    async def onboard(self, account_id: str = OURS, *, to: Status = Status.ACTIVE) -> Account:
        """Store an account with one running instance."""
        now = NOW - timedelta(hours=1)
        account = await accounts.create_pending(self.db, account_id=account_id, name="a", external_id=None, now=now)
        for status in (Status.CONNECTED, Status.ACTIVE):
            if to is not Status.PENDING:
                account = await accounts.transition(self.db, account.id, status, now=now)
        await self.listed(account, instance_id())
        return account

    async def listed(self, account: Account, *ids: str) -> None:
        """Store one complete pass with these running instances."""
        now = NOW - timedelta(hours=1)
        generation = await scopes.begin(self.db, account.id, REGION, now=now)
        found = [running(account.account_id, each) for each in ids]
        await instances.upsert_changed(self.db, account.id, REGION, generation, found, now=now)
        await instances.close_pass(self.db, account.id, REGION, generation, seen_ids=set(ids), now=now)

    async def state(self, name: str | None = None) -> str:
        """Return the stored state of an instance."""
        [stored] = await instances.by_ids(self.db, [name or instance_id()])
        return stored.instance.state.value

    async def results(self) -> list[str | None]:
        """Return what was done about each message, the oldest first."""
        rows = await self.db.fetch("SELECT result FROM inbox ORDER BY id")
        return [row["result"] for row in rows]

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        row = await self.db.fetch_one(f"SELECT count(*) AS number FROM {table}")
        assert row is not None
        return int(row["number"])


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a blank database."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'spotd.db'}"
    return str(request.getfixturevalue("fresh_postgres_url"))


@pytest.fixture
async def world(url: str) -> AsyncIterator[World]:
    """A fake AWS with a queue, an empty store, and the real edge and consumer between them."""
    clock, queue, woken = HandClock(), FakeQueue(), list[None]()
    own = KeyCredentials(AccessKeys(access_key_id="OWN", secret_access_key="own-secret"))
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(fake_aws())
        queue.serve(fake)
        config = AwsConfig(endpoint_url=fake.endpoint, connect_timeout=1.0, request_timeout=2.0, rate_share=1.0)
        db = await open_database(url, pool_size=4)
        stack.push_async_callback(db.close)
        await migrate(db, now=clock.now())
        aws = await stack.enter_async_context(Aws(config, clock, own=own))

        async def session_for(account: Account) -> AccountSession:
            keys = AccessKeys(access_key_id=f"AK{account.account_id}", secret_access_key="secret")
            return aws.session_for(account.account_id, keys)

        changes = Changes(clock=clock)
        intake = Intake(db=db, clock=clock, changes=changes, wake=lambda: woken.append(None))
        effects = Effects(db=db, sessions=session_for, clock=clock, managed_tag="spotd:managed=true")
        receiver = Receiver(Queue(aws.own(), f"{fake.endpoint}/1/spotd-events"), intake)
        yield World(
            db=db,
            aws=aws,
            fake=fake,
            queue=queue,
            clock=clock,
            changes=changes,
            consumer=EventConsumer(intake=intake, effects=effects, receivers=[receiver]),
            receiver=receiver,
            woken=woken,
        )


def instance_id(number: int = 1) -> str:
    """Return an instance's id."""
    return f"i-{number:017x}"


def running(account_id: str, name: str) -> Instance:
    """Return a running instance."""
    return Instance(
        instance_id=name, account_id=account_id, region=REGION, instance_type="m5.large", state=State.RUNNING
    )


def event(
    detail_type: str, *, key: str = "e-1", account: str | None = OURS, time: datetime = NOW, **detail: Any
) -> str:
    """Return an EC2 event as EventBridge delivers it, about the first instance unless `detail` says otherwise."""
    body: dict[str, Any] = {
        "version": "0",
        "id": key,
        "source": "aws.ec2",
        "detail-type": detail_type,
        "account": account,
        "region": REGION,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "resources": [],
        "detail": {"instance-id": instance_id(), **detail},
    }
    return json.dumps(body)


def interruption(**options: Any) -> str:
    """Return an interruption warning."""
    return event("EC2 Spot Instance Interruption Warning", **{"instance-action": "terminate", **options})


def state_change(state: str = "stopping", **options: Any) -> str:
    """Return a state change."""
    return event("EC2 Instance State-change Notification", **{"state": state, **options})

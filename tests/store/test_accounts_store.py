"""Accounts: statuses in code and in the database, conditions, sealed credentials, what goes with a deleted one."""

import asyncio
import json
from datetime import datetime, timedelta
from itertools import product
from pathlib import Path

import pytest

from spotd.engine.accounts import may_become
from spotd.errors import Conflict, InvalidInput, NotFound
from spotd.log import Row
from spotd.model.account import Account, Condition, ConnectionMethod, Status
from spotd.model.event import Event, Outcome, Verdict
from spotd.model.instance import Instance, State
from spotd.store import accounts, inbox, instances, logs, scopes, tokens
from spotd.store.db import Database, open_database
from spotd.store.schema import migrate

PAIRS = [*product(Status, Status)]

PATHS = {
    Status.PENDING: (),
    Status.CONNECTED: (Status.CONNECTED,),
    Status.ACTIVE: (Status.CONNECTED, Status.ACTIVE),
    Status.FAILED: (Status.CONNECTED, Status.FAILED),
}
"""How an account gets to each status."""


async def brought_to(db: Database, account: Account, status: Status, now: datetime) -> Account:
    """Lead a pending account to a status."""
    for step in PATHS[status]:
        account = await accounts.transition(db, account.id, step, now=now)
    return account


def condition(type_: str, now: datetime, *, status: bool = True, reason: str = "Denied") -> Condition:
    """Return a condition."""
    return Condition(type=type_, status=status, reason=reason, observed_at=now)


async def test_a_new_account_is_pending(db: Database, account: Account, now: datetime) -> None:
    """An account begins pending, with its ExternalId, and is found by either id."""
    assert account.status is Status.PENDING
    assert account.created_at == account.updated_at == now
    assert account.external_id == "x" * 43
    assert await accounts.get(db, account.id) == account
    assert await accounts.find(db, "123456789012") == account
    assert await accounts.find(db, "000000000000") is None


async def test_an_aws_account_is_claimed_once(db: Database, account: Account, now: datetime) -> None:
    """A second claim of an AWS id is refused, also inside a transaction that then goes on."""
    async with db.transaction() as tx:
        with pytest.raises(Conflict, match="123456789012"):
            await accounts.create_pending(tx, account_id="123456789012", name="b", external_id="y", now=now)

    assert len(await accounts.all_accounts(db)) == 1


async def test_a_missing_account_is_not_found(db: Database, now: datetime) -> None:
    """Whatever is asked of an account that is not there says so."""
    for call in (
        accounts.get(db, 7),
        accounts.transition(db, 7, Status.CONNECTED, now=now),
        accounts.set_condition(db, 7, condition("A", now)),
        accounts.set_connection(db, 7, method=ConnectionMethod.ACCESS_KEYS, secrets={}),
        accounts.set_details(db, 7, name="n", regions=()),
        accounts.delete(db, 7),
        scopes.begin(db, 7, "eu-west-1", now=now),
    ):
        with pytest.raises(NotFound):
            await call


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_code_refuses_what_the_table_refuses(
    db: Database, account: Account, now: datetime, before: Status, after: Status
) -> None:
    """Of the sixteen changes the four allowed ones happen and move `updated_at`; the others change nothing."""
    account, later = await brought_to(db, account, before, now), now + timedelta(seconds=1)

    if may_become(before, after):
        changed = await accounts.transition(db, account.id, after, now=later)
        assert (changed.status, changed.updated_at, changed.created_at) == (after, later, now)
    else:
        with pytest.raises(Conflict, match=before):
            await accounts.transition(db, account.id, after, now=later)
        assert await accounts.get(db, account.id) == account


@pytest.mark.parametrize(("before", "after"), PAIRS)
async def test_the_database_refuses_what_the_table_refuses(
    db: Database, account: Account, now: datetime, before: Status, after: Status
) -> None:
    """Plain SQL cannot make a change that is not allowed either."""
    account = await brought_to(db, account, before, now)
    update = db.execute("UPDATE accounts SET status = $1 WHERE id = $2", after.value, account.id)

    if may_become(before, after):
        assert await update == 1
    else:
        with pytest.raises(Conflict):
            await update
        assert (await accounts.get(db, account.id)).status is before


async def test_there_is_no_fifth_status(db: Database, account: Account, now: datetime) -> None:
    """Neither a change nor a new row can have another status."""
    with pytest.raises(Conflict):
        await db.execute("UPDATE accounts SET status = 'paused' WHERE id = $1", account.id)
    with pytest.raises(Conflict):
        await db.execute(
            "INSERT INTO accounts (account_id, name, status, created_at, updated_at) VALUES ('1', 'n', 'new', $1, $1)",
            now,
        )


async def test_of_two_changes_at_once_one_wins(db: Database, account: Account, now: datetime) -> None:
    """Two who judge the same status and change it differently do not both succeed."""
    await accounts.transition(db, account.id, Status.CONNECTED, now=now)

    async def change(to: Status) -> bool:
        try:
            await accounts.transition(db, account.id, to, now=now)
        except Conflict:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(change(to)) for to in (Status.ACTIVE, Status.FAILED)]

    assert sorted(task.result() for task in tasks) == [False, True]


async def test_a_failure_is_kept_until_the_account_is_connected_again(
    db: Database, account: Account, now: datetime
) -> None:
    """A failed account's metadata holds error and time beside what was there, and loses both when reconnected."""
    await accounts.set_metadata(db, account.id, {"owner": "web"})
    await accounts.transition(db, account.id, Status.CONNECTED, now=now)

    failed = await accounts.transition(db, account.id, Status.FAILED, now=now, error="AccessDenied: no")
    assert failed.metadata == {"owner": "web", "error": "AccessDenied: no", "error_at": "2026-11-23T21:00:00.000000Z"}

    again = await accounts.transition(db, account.id, Status.CONNECTED, now=now)
    assert again.metadata == {"owner": "web"}


async def test_a_condition_replaces_the_one_of_its_type(db: Database, account: Account, now: datetime) -> None:
    """There is one condition of each type; the status does not change with it."""
    await accounts.set_condition(db, account.id, condition("A", now))
    await accounts.set_condition(db, account.id, condition("B", now))
    await accounts.set_condition(db, account.id, condition("A", now, status=False, reason="Listed"))
    await accounts.clear_condition(db, account.id, "B")

    stored = await accounts.get(db, account.id)
    assert stored.conditions == (condition("A", now, status=False, reason="Listed"),)
    assert (stored.status, stored.updated_at) == (account.status, account.updated_at)


async def test_conditions_set_at_once_are_all_kept(db: Database, account: Account, now: datetime) -> None:
    """Seventeen regions that each report a condition do not overwrite one another."""
    types = [f"RegionExcluded/{n}" for n in range(17)]

    async with asyncio.TaskGroup() as group:
        for type_ in types:
            group.create_task(accounts.set_condition(db, account.id, condition(type_, now)))

    assert sorted(one.type for one in (await accounts.get(db, account.id)).conditions) == sorted(types)


async def test_credentials_are_replaced_as_a_whole(db: Database, account: Account) -> None:
    """New credentials leave nothing of the old ones."""
    keys = {"access_key_id": "c1", "secret_access_key": "c2"}
    connected = await accounts.set_connection(db, account.id, method=ConnectionMethod.ACCESS_KEYS, secrets=keys)
    assert connected.connection_method is ConnectionMethod.ACCESS_KEYS
    assert await accounts.secrets(db, account.id) == keys

    arn = "arn:aws:iam::123456789012:role/spotd"
    connected = await accounts.set_connection(db, account.id, method=ConnectionMethod.IAM_ROLE, role_arn=arn)
    assert (connected.connection_method, connected.role_arn) == (ConnectionMethod.IAM_ROLE, arn)
    assert await accounts.secrets(db, account.id) == {}


async def test_every_sealed_credential_can_be_resealed_in_turn(db: Database, now: datetime) -> None:
    """A rotation walks through all of them, and leaves alone what was replaced meanwhile."""
    for n in range(3):
        one = await accounts.create_pending(db, account_id=f"{n:012}", name="n", external_id=None, now=now)
        await accounts.set_connection(
            db, one.id, method=ConnectionMethod.ACCESS_KEYS, secrets={"a": f"old-{n}a", "b": f"old-{n}b"}
        )
    seen: list[accounts.Secret] = []
    last = None
    while page := await accounts.secrets_after(db, last, limit=4):
        seen += page
        last = page[-1]

    assert [(one.account_id, one.field) for one in seen] == [(f"{n:012}", field) for n in range(3) for field in "ab"]
    assert await accounts.reseal(db, seen[0], "new")
    assert not await accounts.reseal(db, seen[0], "newer")
    assert (await accounts.secrets(db, seen[0].id))["a"] == "new"


async def test_pages_go_through_all_accounts_once(db: Database, now: datetime) -> None:
    """Pages follow one another in the order of the keys, and the last has no cursor."""
    for n in range(5):
        await accounts.create_pending(db, account_id=f"{n:012}", name="n", external_id=None, now=now)

    pages, cursor = [], None
    for _ in range(3):
        page = await accounts.list_page(db, limit=2, cursor=cursor)
        pages.append([account.account_id for account in page.items])
        cursor = page.next_cursor

    assert pages == [["000000000000", "000000000001"], ["000000000002", "000000000003"], ["000000000004"]]
    assert cursor is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%%%",
        "WzFd!",
        "eyJhIjoxfQ",
        "Wy4uLl0",
        "WyJhIl0",
        "\0",
        "ü",
        "W10",
        "Wy0xXQ",
        "WzkyMjMzNzIwMzY4NTQ3NzU4MDhd",
    ],
)
async def test_a_foreign_cursor_is_refused(db: Database, cursor: str) -> None:
    """A cursor that we did not make is the client's mistake, not a failure of the store."""
    with pytest.raises(InvalidInput) as caught:
        await accounts.list_page(db, cursor=cursor)

    assert caught.value.field == "cursor"


async def test_everything_known_of_a_deleted_account_goes(db: Database, account: Account, now: datetime) -> None:
    """Rows of every table that hang on an account go with it; other accounts and the logs stay."""
    other = await accounts.create_pending(db, account_id="9" * 12, name="other", external_id=None, now=now)
    for one in (account, other):
        await accounts.set_connection(db, one.id, method=ConnectionMethod.ACCESS_KEYS, secrets={"a": "c"})
        generation = await scopes.begin(db, one.id, "eu-west-1", now=now)
        found = Instance(
            instance_id="i-1",
            account_id=one.account_id,
            region="eu-west-1",
            instance_type="m5.large",
            state=State.RUNNING,
        )
        await instances.upsert_changed(db, one.id, "eu-west-1", generation, [found], now=now)
        event = Event(
            key=one.account_id,
            kind="rebalance",
            source="aws.ec2",
            detail_type="d",
            account_id=one.account_id,
            region=None,
        )
        verdict = Verdict(outcome=Outcome.ACCEPTED, key=event.key, event=event)
        await inbox.accept(db, verdict, source="api", raw="{}", received_at=now)
        await tokens.create(db, name="t", digest=one.account_id, scopes=["read"], account_id=one.account_id, now=now)
    await logs.insert(db, Row(timestamp=now, component="c", level="warning", message="m", details={}))

    await accounts.delete(db, account.id)

    tables = ("accounts", "secrets", "instances", "scopes", "inbox", "tokens", "system_logs")
    counted = [await db.fetch_one(f"SELECT count(*) AS n FROM {table}") for table in tables]
    assert [row["n"] for row in counted if row is not None] == [1] * len(tables)
    assert await accounts.find(db, other.account_id) == await accounts.get(db, other.id)


async def test_plain_sql_cascades_too(db: Database, account: Account, now: datetime) -> None:
    """The database itself deletes what hangs on an account's row."""
    await scopes.begin(db, account.id, "eu-west-1", now=now)

    await db.execute("DELETE FROM accounts WHERE id = $1", account.id)

    assert await scopes.all_scopes(db) == ()


async def test_a_key_is_not_given_twice(db: Database, account: Account, now: datetime) -> None:
    """Who remembers a deleted account's key does not mistake the next account for it."""
    await accounts.delete(db, account.id)

    again = await accounts.create_pending(db, account_id="123456789012", name="n", external_id=None, now=now)

    assert again.id > account.id


async def test_no_ciphertext_stays_in_the_log(tmp_path: Path, now: datetime) -> None:
    """After credentials were stored or removed, SQLite's write-ahead log holds nothing of them."""
    db = await open_database(f"sqlite:{tmp_path / 'spotd.db'}")
    try:
        await migrate(db, now=now)
        one = await accounts.create_pending(db, account_id="1" * 12, name="n", external_id=None, now=now)
        await accounts.set_connection(
            db, one.id, method=ConnectionMethod.ACCESS_KEYS, secrets={"secret_access_key": "CIPHERTEXT"}
        )
        assert b"CIPHERTEXT" not in (tmp_path / "spotd.db-wal").read_bytes()

        await accounts.delete(db, one.id)
        assert b"CIPHERTEXT" not in b"".join((tmp_path / f"spotd.db{end}").read_bytes() for end in ("", "-wal"))
    finally:
        await db.close()


async def test_json_columns_are_json_to_others(db: Database, account: Account) -> None:
    """Programs that read the table find JSON text in its JSON columns."""
    row = await db.fetch_one("SELECT regions, conditions, metadata FROM accounts WHERE id = $1", account.id)

    assert row is not None
    assert [json.loads(row[name]) for name in ("regions", "conditions", "metadata")] == [[], [], {}]

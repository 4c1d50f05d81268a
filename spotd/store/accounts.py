"""Accounts: their rows, statuses, conditions and sealed credentials.

A function's `id` is the table's key; an `account_id` is AWS's twelve digits. Secrets come here as ciphertext.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from spotd.engine.accounts import may_become
from spotd.errors import Conflict, NotFound
from spotd.model.account import Account, Condition, ConnectionMethod, Status
from spotd.store import scopes
from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, time_text, to_json, when
from spotd.store.paging import Page, id_of, page_of
from spotd.store.statements import load

SQL = load("accounts")

ERROR_FIELDS = ("error", "error_at")
"""What a failed account's metadata holds until it is connected again."""


class Secret(Struct, frozen=True, kw_only=True):
    """One sealed credential and the row it is bound to."""

    id: int
    account_id: str
    field: str
    ciphertext: str

    def __repr__(self) -> str:
        return f"Secret(id={self.id}, field={self.field!r}, …)"


async def create_pending(
    db: Executor, *, account_id: str, name: str, regions: Sequence[str] = (), external_id: str | None, now: datetime
) -> Account:
    """Create a pending account; raises Conflict when the AWS id is taken."""
    row = await db.fetch_one(SQL["insert_account"], account_id, name, external_id, to_json(list(regions)), now)
    if row is None:
        raise Conflict(f"account {account_id} is here already")
    return _account(row)


async def get(db: Executor, id: int) -> Account:  # noqa: A002 - it is the column's name
    """Return one account; raises NotFound."""
    return _found(await db.fetch_one(SQL["get_account"], id), id)


async def find(db: Executor, account_id: str) -> Account | None:
    """Return the account of an AWS id, None if there is none."""
    row = await db.fetch_one(SQL["find_account"], account_id)
    return None if row is None else _account(row)


async def list_page(db: Executor, *, limit: int = 100, cursor: str | None = None) -> Page[Account]:
    """Return accounts in the order of their keys; raises InvalidInput for a cursor we did not make."""
    rows = await db.fetch(SQL["list_accounts"], id_of(cursor, default=0), limit + 1)
    return page_of([_account(row) for row in rows], limit, lambda account: (account.id,))


async def all_accounts(db: Executor) -> tuple[Account, ...]:
    """Return every account, in the order of their keys."""
    return tuple(_account(row) for row in await db.fetch(SQL["all_accounts"]))


async def count_by_status(db: Executor, account_id: str | None = None) -> Mapping[Status, int]:
    """Return how many accounts have each status, all of them or just one."""
    sql, args = SQL.filtered("count_accounts", account_id=account_id)
    return {Status(row["status"]): int(row["number"]) for row in await db.fetch(sql, *args)}


async def regions_seen(db: Executor, id: int) -> tuple[str, ...]:  # noqa: A002
    """Return the regions of an account that a pass has begun on."""
    return tuple(scope.region for scope in await scopes.all_scopes(db, id))


async def transition(db: Executor, id: int, to: Status, *, now: datetime, error: str | None = None) -> Account:  # noqa: A002
    """Change an account's status and return it.

    `error` is kept in the metadata, with its time, until the account is connected again. Raises Conflict for a change
    that is not allowed or that somebody else made first, NotFound for no such account.
    """
    async with db.transaction() as tx:
        account = await get(tx, id)
        if not may_become(account.status, to):
            raise Conflict(f"account {account.account_id} is {account.status} and cannot become {to}")
        metadata = to_json(_metadata(account.metadata, error, now))
        row = await tx.fetch_one(SQL["set_status"], id, account.status.value, to.value, metadata, now)
        if row is None:
            raise Conflict(f"account {account.account_id} is no longer {account.status}")
        return _account(row)


async def set_condition(db: Executor, id: int, condition: Condition) -> None:  # noqa: A002
    """Add a condition, or replace the one of its type; raises NotFound."""
    async with db.transaction() as tx:
        account = _found(await tx.fetch_one(SQL["lock_account"], id), id)
        kept = [old for old in account.conditions if old.type != condition.type]
        await tx.execute(SQL["set_conditions"], id, to_json([*kept, condition]))


async def clear_condition(db: Executor, id: int, type: str) -> None:  # noqa: A002
    """Remove the condition of a type, if there is one; raises NotFound for no such account."""
    async with db.transaction() as tx:
        account = _found(await tx.fetch_one(SQL["lock_account"], id), id)
        await tx.execute(SQL["set_conditions"], id, to_json([old for old in account.conditions if old.type != type]))


async def set_metadata(db: Executor, id: int, facts: Mapping[str, Any]) -> None:  # noqa: A002
    """Merge facts into an account's metadata; a value of None removes its key. Raises NotFound."""
    async with db.transaction() as tx:
        account = _found(await tx.fetch_one(SQL["lock_account"], id), id)
        merged = {**account.metadata, **facts}
        kept = {name: value for name, value in merged.items() if value is not None}
        await tx.execute(SQL["set_metadata"], id, to_json(kept))


async def set_details(db: Executor, id: int, *, name: str, regions: Sequence[str]) -> Account:  # noqa: A002
    """Change what the owner calls an account and where it runs; raises NotFound."""
    return _found(await db.fetch_one(SQL["set_details"], id, name, to_json(list(regions))), id)


async def set_connection(
    db: Executor,
    id: int,  # noqa: A002
    *,
    method: ConnectionMethod,
    role_arn: str | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Account:
    """Replace how credentials are got for an account: a role, or sealed fields. The status stays. Raises NotFound."""
    async with db.transaction() as tx:
        account = _found(await tx.fetch_one(SQL["set_connection"], id, method.value, role_arn), id)
        await tx.execute(SQL["delete_secrets"], id)
        await tx.execute_many(SQL["insert_secret"], [(id, field, sealed) for field, sealed in (secrets or {}).items()])
        return account


async def secrets(db: Executor, id: int) -> Mapping[str, str]:  # noqa: A002
    """Return an account's sealed credentials by field."""
    return {row["field"]: row["ciphertext"] for row in await db.fetch(SQL["get_secrets"], id)}


async def secrets_after(db: Executor, last: Secret | None, *, limit: int = 100) -> tuple[Secret, ...]:
    """Return the sealed credentials of all accounts that come after one, to be resealed in turn."""
    key = (0, "") if last is None else (last.id, last.field)
    return tuple(
        Secret(id=row["account_id"], account_id=row["aws_account_id"], field=row["field"], ciphertext=row["ciphertext"])
        for row in await db.fetch(SQL["all_secrets"], *key, limit)
    )


async def reseal(db: Executor, secret: Secret, ciphertext: str) -> bool:
    """Replace a sealed credential unless somebody replaced it since; return whether it was."""
    args = (secret.id, secret.field, secret.ciphertext, ciphertext)
    return await db.execute(SQL["replace_secret"], *args) == 1


async def delete(db: Executor, id: int) -> None:  # noqa: A002
    """Delete an account with everything known of it; raises NotFound."""
    async with db.transaction() as tx:
        row = await tx.fetch_one(SQL["delete_account"], id)
        if row is None:
            raise NotFound(f"there is no account {id}")
        await tx.execute(SQL["delete_events"], row["account_id"])
        await tx.execute(SQL["delete_tokens"], row["account_id"])


def _found(row: Row | None, id: int) -> Account:  # noqa: A002
    if row is None:
        raise NotFound(f"there is no account {id}")
    return _account(row)


def _metadata(before: Mapping[str, Any], error: str | None, now: datetime) -> dict[str, Any]:
    kept = {name: value for name, value in before.items() if name not in ERROR_FIELDS}
    return kept if error is None else {**kept, "error": error, "error_at": time_text(now)}


def _account(row: Row) -> Account:
    return Account(
        id=row["id"],
        account_id=row["account_id"],
        name=row["name"],
        status=Status(row["status"]),
        connection_method=ConnectionMethod(row["connection_method"]) if row["connection_method"] else None,
        role_arn=row["role_arn"],
        external_id=row["external_id"],
        regions=from_json(row["regions"], tuple[str, ...]),
        conditions=from_json(row["conditions"], tuple[Condition, ...]),
        metadata=from_json(row["metadata"], dict[str, Any]),
        created_at=when(row["created_at"]),
        updated_at=when(row["updated_at"]),
    )

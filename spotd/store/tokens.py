"""API tokens, as hashes: whoever reads the store learns none."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, maybe_when, to_json, when
from spotd.store.paging import Page, id_of, page_of
from spotd.store.statements import load

SQL = load("tokens")


class Token(Struct, frozen=True, kw_only=True):
    """What is known of a token; `account_id` (12 digits) limits it to one account."""

    id: int
    name: str
    digest: str
    scopes: tuple[str, ...]
    account_id: str | None
    created_at: datetime
    expires_at: datetime | None


async def find(db: Executor, digest: str) -> Token | None:
    """Return the token with this hash, expired or not; None if there is none."""
    row = await db.fetch_one(SQL["find_token"], digest)
    return None if row is None else _token(row)


async def create(
    db: Executor,
    *,
    name: str,
    digest: str,
    scopes: Iterable[str],
    now: datetime,
    account_id: str | None = None,
    expires_at: datetime | None = None,
) -> Token:
    """Store a token's hash; raises Conflict for one that is stored already."""
    row = await db.fetch_one(SQL["insert_token"], name, digest, to_json(sorted(scopes)), account_id, now, expires_at)
    assert row is not None
    return _token(row)


async def replace(db: Executor, *, name: str, digest: str, scopes: Iterable[str], now: datetime) -> Token:
    """Store a token's hash in place of every token of its name."""
    async with db.transaction() as tx:
        await tx.execute(SQL["delete_named"], name)
        return await create(tx, name=name, digest=digest, scopes=scopes, now=now)


async def list_page(db: Executor, *, limit: int = 100, cursor: str | None = None) -> Page[Token]:
    """Return tokens in the order they were made; raises InvalidInput for a cursor we did not make."""
    rows = await db.fetch(SQL["list_tokens"], id_of(cursor, default=0), limit + 1)
    return page_of([_token(row) for row in rows], limit, lambda token: (token.id,))


async def delete(db: Executor, id: int) -> bool:  # noqa: A002 - it is the column's name
    """Revoke a token; False if there is none."""
    return await db.execute(SQL["delete_token"], id) == 1


def _token(row: Row) -> Token:
    return Token(
        id=row["id"],
        name=row["name"],
        digest=row["digest"],
        scopes=from_json(row["scopes"], tuple[str, ...]),
        account_id=row["account_id"],
        created_at=when(row["created_at"]),
        expires_at=maybe_when(row["expires_at"]),
    )

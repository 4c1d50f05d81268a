"""From what a client names a thing by to the thing."""

from typing import Any, NamedTuple

from spotd.api.routing import Call
from spotd.errors import NotFound
from spotd.model.account import Account
from spotd.store import accounts
from spotd.store.db import Executor

AWS_ID_DIGITS = 12
MOST_DIGITS = 18
"""What a 64-bit integer certainly holds."""


class Selection(NamedTuple):
    """Which AWS accounts a filter and the token's limit leave: one, none (`nothing`), or else every one."""

    account_id: str | None = None
    nothing: bool = False


def integer_of(ref: str) -> int:
    """Return the integer id that a path names; raises NotFound for what can be none."""
    if not (ref.isascii() and ref.isdigit()) or len(ref) > MOST_DIGITS:
        raise NotFound
    return int(ref)


async def account_of(call: Call[Any, Any]) -> Account:
    """Return the account of the path; raises NotFound also for one that the token is not limited to."""
    account = await find_account(call.services.db, call.path["account"])
    if account is None or not call.principal.sees(account.account_id):
        raise NotFound("There is no such account.")
    return account


async def find_account(db: Executor, ref: str) -> Account | None:
    """Return the account that exactly twelve digits (AWS's id), or any other number (ours), name."""
    try:
        return await accounts.find(db, ref) if _is_aws_id(ref) else await accounts.get(db, integer_of(ref))
    except NotFound:
        return None


async def select(call: Call[Any, Any], ref: str | None) -> Selection:
    """Return what an account filter selects; an account not known, or not shown to this token, selects nothing."""
    if ref is None:
        return Selection(call.principal.account)
    account_id = ref if _is_aws_id(ref) else await _aws_id_of(call.services.db, ref)
    if account_id is None or not call.principal.sees(account_id):
        return Selection(nothing=True)
    return Selection(account_id)


async def _aws_id_of(db: Executor, ref: str) -> str | None:
    found = await find_account(db, ref)
    return found.account_id if found else None


def _is_aws_id(ref: str) -> bool:
    return len(ref) == AWS_ID_DIGITS and ref.isascii() and ref.isdigit()

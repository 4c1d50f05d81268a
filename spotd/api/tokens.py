"""Bearer tokens: made here, stored as hashes, and remembered so that `/health` answers while the database does not."""

import asyncio
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from spotd.api.access import GRANTABLE, Principal, Scope
from spotd.clock import Clock
from spotd.errors import StoreUnavailable
from spotd.store import tokens
from spotd.store.db import Database
from spotd.store.tokens import Token

PREFIX = "spotd_"
FRESH_SECONDS = 2.0
"""A token found this lately is not looked up again: revoking it in another process takes as long to show."""

TRUSTED_SECONDS = 900.0
"""How long a token found earlier is trusted while the database does not answer."""

PATIENCE = 0.2
"""Seconds to wait for the database where an earlier answer can stand in: a health check must still fit in a second."""

REMEMBERED = 1024
ADMIN_FILE = "admin.token"
ADMIN_NAME = "admin (first start)"


def new_token() -> str:
    """Return a new token: 256 random bits after a prefix that secret scanners can know."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str) -> str:
    """Return what is stored of a token. A fast hash will do: there are 256 bits to guess."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class _Found:
    token: Token
    at: float


class TokenBook:
    """Tells whose a token is."""

    def __init__(self, db: Database, clock: Clock, time: Callable[[], float]) -> None:
        self._db = db
        self._clock = clock
        self._time = time
        self._found: OrderedDict[str, _Found] = OrderedDict()

    async def principal(self, token: str) -> Principal | None:
        """Return the token's principal, None when it is unknown or over.

        Raises StoreUnavailable when the database does not answer and the token was not seen lately.
        """
        digest = digest_of(token)
        found = await self._find(digest)
        if found is None or not hmac.compare_digest(found.digest, digest) or _over(found, self._clock.now()):
            return None
        return Principal(f"{found.id}:{found.name}", frozenset(map(Scope, found.scopes)), found.account_id)

    def forget(self) -> None:
        """Look every token up anew: one was revoked."""
        self._found.clear()

    async def _find(self, digest: str) -> Token | None:
        known = self._found.get(digest)
        if known is None:
            return self._remember(digest, await tokens.find(self._db, digest))
        if self._time() - known.at < FRESH_SECONDS:
            return known.token
        try:
            async with asyncio.timeout(PATIENCE):
                return self._remember(digest, await tokens.find(self._db, digest))
        except (StoreUnavailable, TimeoutError):
            if self._time() - known.at > TRUSTED_SECONDS:
                raise StoreUnavailable from None
            return known.token

    def _remember(self, digest: str, token: Token | None) -> Token | None:
        self._found.pop(digest, None)
        if token is not None:
            self._found[digest] = _Found(token, self._time())
        if len(self._found) > REMEMBERED:
            self._found.popitem(last=False)
        return token


def _over(token: Token, now: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= now


async def ensure_admin_token(db: Database, state_dir: Path, clock: Clock) -> Path:
    """Return the file (0600) of a token that holds `admin`, written at the first start.

    A file whose token the database does not know, after a restore for example, is made known again: who can write
    the state directory owns the daemon anyway.
    """
    path = state_dir / ADMIN_FILE
    token = await asyncio.to_thread(_read_or_write, path)
    if await tokens.find(db, digest_of(token)) is None:
        await tokens.replace(db, name=ADMIN_NAME, digest=digest_of(token), scopes=sorted(GRANTABLE), now=clock.now())
    return path


def _read_or_write(path: Path) -> str:
    try:
        token = path.read_text("utf-8").strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = new_token()
        _write_private(path, token + "\n")
    path.chmod(0o600)
    return token


def _write_private(path: Path, text: str) -> None:
    """Write so that no reader ever sees half a file, and nobody else can read it at any time."""
    draft = path.with_suffix(f".{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)

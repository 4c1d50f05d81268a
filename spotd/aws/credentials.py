"""Whose credentials sign a request: chosen when it is signed, from the context of the caller.

One client serves every account of a region, so nothing in a client may know an account. A retried request is signed
anew, with whatever the source then says.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from aiobotocore.credentials import AioCredentials
from msgspec import Struct

from spotd.aws.errors import AwsError, Trouble, UnsignedCall
from spotd.clock import Clock
from spotd.model.account import AccessKeys

log = structlog.get_logger(__name__)

REFRESH_BEFORE: Final = timedelta(minutes=10)
"""A role's session is replaced when less than this is left of it: a page of a long listing never meets its end."""
ASK_AGAIN_AFTER: Final = 15.0
"""Seconds before the chain is asked again for an identity it did not have."""
LAST_USE: Final = timedelta(minutes=1)
"""A session that cannot be replaced is used until this is left of it."""


class CredentialSource(Protocol):
    """Gives the credentials of one identity."""

    async def current(self) -> AioCredentials:
        """Return credentials that are valid now; raises AwsError if there are none."""
        ...

    @property
    def version(self) -> int:
        """Counts the credentials there were: which ones a call was signed with at the earliest."""
        ...

    def renew(self, version: int) -> bool:
        """Forget the credentials of that version, which AWS calls expired; return whether others can be had."""
        ...


_signer: ContextVar[CredentialSource] = ContextVar("spotd_aws_signer")


@contextmanager
def account_credentials(source: CredentialSource) -> Iterator[None]:
    """Sign the calls made inside with this source."""
    token = _signer.set(source)
    try:
        yield
    finally:
        _signer.reset(token)


async def sign_as_current(request: Any, **_: Any) -> None:
    """Choose the credentials for one request (botocore's `before-sign`); raises UnsignedCall if nobody was chosen."""
    source = _signer.get(None)
    if source is None:
        raise UnsignedCall
    request.context.setdefault("signing", {})["request_credentials"] = await source.current()


class KeyCredentials:
    """A long-lived key pair."""

    def __init__(self, keys: AccessKeys) -> None:
        self._credentials = AioCredentials(keys.access_key_id, keys.secret_access_key)

    version = 0

    async def current(self) -> AioCredentials:
        """Return the pair."""
        return self._credentials

    def renew(self, version: int) -> bool:  # noqa: ARG002 - there is but one
        """A key pair has no other form."""
        return False


class Lease(Struct, frozen=True):
    """A role's session and when it ends."""

    credentials: AioCredentials
    expires_at: datetime


class RoleCredentials:
    """Sessions of an assumed role, each replaced well before its end, by one caller at a time."""

    def __init__(self, assume: Callable[[], Awaitable[Lease]], clock: Clock) -> None:
        self._assume = assume
        self._clock = clock
        self._lease: Lease | None = None
        self._turn = asyncio.Lock()
        self._failed: AwsError | None = None
        self._attempts = 0
        self.version = 0

    async def current(self) -> AioCredentials:
        """Return the session's credentials; those who waited for a failed attempt share its failure."""
        if (lease := self._lasting(REFRESH_BEFORE)) is not None:
            return lease.credentials
        seen = self._attempts
        async with self._turn:
            if (lease := self._lasting(REFRESH_BEFORE)) is None:
                lease = await self._replace(seen)
        return lease.credentials

    def renew(self, version: int) -> bool:
        """Forget the session, unless it was replaced since."""
        if version == self.version:
            self._lease = None
        return True

    def _lasting(self, margin: timedelta) -> Lease | None:
        lease = self._lease
        return lease if lease is not None and lease.expires_at - self._clock.now() > margin else None

    async def _replace(self, seen: int) -> Lease:
        if self._attempts == seen:
            self._failed = await self._attempt()
            self._attempts += 1
        if (lease := self._lasting(LAST_USE)) is not None:
            return lease
        raise self._failed or UnsignedCall("the role's session ended before it could be used: is the clock right?")

    async def _attempt(self) -> AwsError | None:
        try:
            self._lease = await self._assume()
            self.version += 1
        except AwsError as error:
            if self._lease is not None:  # else the caller learns it
                log.warning("aws.session_not_renewed", error=str(error))
            return error
        return None


class OwnCredentials:
    """The daemon's own identity: a named profile, else botocore's default chain."""

    version = 0

    def __init__(self, load: Callable[[], Awaitable[AioCredentials | None]]) -> None:
        self._load = load
        self._turn = asyncio.Lock()
        self._credentials: AioCredentials | None = None
        self._ask_again_at = 0.0

    async def current(self) -> AioCredentials:
        """Return the identity's credentials, which refresh themselves; raises AwsError if there is none."""
        async with self._turn:
            now = asyncio.get_running_loop().time()
            if self._credentials is None and now >= self._ask_again_at:
                # Where there is none, the chain ends with a slow question to the machine's metadata service.
                self._ask_again_at = now + ASK_AGAIN_AFTER
                self._credentials = await self._load()
        if self._credentials is None:
            raise AwsError(
                Trouble.DENIED,
                "NoOwnIdentity",
                "the daemon has no AWS identity: set aws.profile or AWS's own variables",
            )
        return self._credentials

    def renew(self, version: int) -> bool:  # noqa: ARG002 - there is but one
        """Botocore refreshes what can be refreshed."""
        return False

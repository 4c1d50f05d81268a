"""Calls to AWS in the name of an account: credentials, limits, breakers, and errors of five kinds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from botocore import xform_name

from spotd.aws import sts
from spotd.aws.breaker import Breakers, OpenBreaker
from spotd.aws.clients import ATTEMPTS, LONG_POLL_TIMEOUT, Clients
from spotd.aws.credentials import (
    CredentialSource,
    KeyCredentials,
    OwnCredentials,
    RoleCredentials,
    account_credentials,
)
from spotd.aws.errors import WIRE_ERRORS, AwsError, Call, MalformedReply, classify
from spotd.aws.limits import Limits
from spotd.aws.operations import OPERATIONS, Operation
from spotd.clock import Clock
from spotd.config import AwsConfig
from spotd.errors import InvalidInput
from spotd.model.account import AccessKeys, Grant

OWN: Final = "own"
"""Stands for the daemon's own identity where a call is named for its account."""
MOST_PAGES: Final = 10_000


class ReplyPage(NamedTuple):
    """One page of a listing: its rows as botocore gives them, and whether it is the last."""

    rows: tuple[Any, ...]
    last: bool


class Edge(NamedTuple):
    """What every session shares."""

    clients: Clients
    limits: Limits
    breakers: Breakers
    clock: Clock
    config: AwsConfig


class AccountSession:
    """Calls AWS as one account."""

    def __init__(self, account_id: str, credentials: CredentialSource, edge: Edge) -> None:
        self.account_id = account_id
        self._credentials = credentials
        self._edge = edge

    @property
    def home_region(self) -> str:
        """The region that is asked for what every region knows."""
        return self._edge.config.home_region

    def now(self) -> datetime:
        """Return the wall time, for answers that carry none."""
        return self._edge.clock.now()

    async def call(self, service: str, region: str, operation: str, **params: Any) -> dict[str, Any]:
        """Send one operation (`"ec2", "eu-west-1", "DescribeRegions"`) and return the answer; raises AwsError."""
        spec, version = _spec(service, operation), self._credentials.version
        try:
            return await self._guarded(spec, region, params)
        except AwsError as error:
            if not (error.expired and self._credentials.renew(version)):
                raise
        return await self._guarded(spec, region, params)

    async def pages(self, service: str, region: str, operation: str, **params: Any) -> AsyncIterator[ReplyPage]:
        """Send one operation page by page; raises AwsError for a page that is lost, cut or repeated."""
        paging = _spec(service, operation).paging
        if paging is None:
            raise InvalidInput(f"{service}:{operation} does not page")
        seen: set[str] = set()
        while True:
            reply = await self.call(service, region, operation, **params)
            token = reply.get(paging.token_out) or None
            if paging.rows not in reply or token in seen or len(seen) > MOST_PAGES:
                detail = "a page without its list, or the same page twice"
                raise classify(
                    MalformedReply(f"/{paging.rows}", detail), Call(self.account_id, region, service, operation)
                )
            yield ReplyPage(tuple(reply[paging.rows]), last=token is None)
            if token is None:
                return
            seen.add(token)
            params[paging.token_in] = token

    async def _guarded(self, spec: Operation, region: str, params: Mapping[str, Any]) -> dict[str, Any]:
        call = Call(self.account_id, region, spec.service, spec.name)
        with self._edge.breakers.guard(call):
            try:
                async with self._edge.limits.admit(self.account_id, region, spec.service, spec.group):
                    return await self._send(spec, region, params)
            except WIRE_ERRORS as error:
                # Not chained: botocore's text may repeat the signed headers, session token included.
                raise classify(error, call) from None

    async def _send(self, spec: Operation, region: str, params: Mapping[str, Any]) -> dict[str, Any]:
        client = await self._edge.clients.get(spec.service, region)
        with account_credentials(self._credentials):
            async with asyncio.timeout(self._deadline(spec.service)):
                reply: dict[str, Any] = await getattr(client, xform_name(spec.name))(**params)
        return reply

    def _deadline(self, service: str) -> float:
        """Bound an answer that trickles: each read in time, and yet no end."""
        config = self._edge.config
        wait = LONG_POLL_TIMEOUT if service == "sqs" else config.request_timeout * ATTEMPTS
        return wait + config.connect_timeout * ATTEMPTS


class Aws:
    """The way to AWS; one for the process, open while the daemon runs.

    `own` gives the daemon's own identity; without it `aws.profile` does, else botocore's default chain.
    """

    def __init__(self, config: AwsConfig, clock: Clock, *, own: CredentialSource | None = None) -> None:
        limits = Limits(share=config.rate_share, concurrency=config.concurrency)
        clients = Clients(
            profile=config.profile,
            endpoint_url=config.endpoint_url,
            endpoints=config.endpoints,
            timeouts=(config.connect_timeout, config.request_timeout),
            connections=limits.lane_width,
            retries=limits.retries,
        )
        self._edge = Edge(clients, limits, Breakers(), clock, config)
        self._own = AccountSession(OWN, own or OwnCredentials(clients.own_credentials), self._edge)
        self._sessions: dict[str, tuple[Grant, AccountSession]] = {}

    async def __aenter__(self) -> Self:
        await self._edge.clients.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._edge.clients.__aexit__(kind, error, trace)

    def own(self) -> AccountSession:
        """Return the session of the daemon's own identity."""
        return self._own

    def session_for(self, account_id: str, grant: Grant) -> AccountSession:
        """Return the account's session; the same one for the same grant, so that its credentials are kept."""
        known = self._sessions.get(account_id)
        if known is not None and known[0] == grant:
            return known[1]
        session = self.probe_session(account_id, grant)
        self._sessions[account_id] = (grant, session)
        return session

    def probe_session(self, account_id: str, grant: Grant, *, name: str = sts.SESSION_NAME) -> AccountSession:
        """Return a session that nobody else uses, for a grant that is not proven yet."""
        return AccountSession(account_id, self._credentials_of(grant, name), self._edge)

    def forget(self, account_id: str) -> None:
        """Drop what is kept of an account that is gone."""
        self._sessions.pop(account_id, None)
        self._edge.limits.forget(account_id)
        self._edge.breakers.forget(account_id)

    def breakers(self) -> tuple[OpenBreaker, ...]:
        """Return the endpoints that are left alone at present."""
        return self._edge.breakers.open()

    def _credentials_of(self, grant: Grant, name: str) -> CredentialSource:
        if isinstance(grant, AccessKeys):
            return KeyCredentials(grant)
        region = sts.regional(grant.role_arn, self._edge.config.home_region)
        return RoleCredentials(partial(sts.assume_role, self._own, region, grant, session_name=name), self._edge.clock)


def _spec(service: str, operation: str) -> Operation:
    spec = OPERATIONS.get((service, operation))
    if spec is None:
        raise InvalidInput(f"{service}:{operation} is not among the operations spotd calls")
    return spec

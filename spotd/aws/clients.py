"""The one factory of AWS clients: one per (service, region) for every account, made when first asked for."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from typing import Any, Final, Self

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from botocore.exceptions import ClientError, DataNotFoundError
from botocore.utils import parse_timestamp

from spotd.aws.credentials import sign_as_current
from spotd.aws.errors import SERVER_ERROR
from spotd.aws.limits import RetryBudget, is_throttled, note_retry, observe_answer
from spotd.aws.tls import SharedTls

ATTEMPTS: Final = 3
"""How often one call is sent at most; beyond that the pass that made it tries again."""
LONG_POLL_TIMEOUT: Final = 30.0
"""Seconds an answer of SQS may take: a receive waits 20 s by itself."""
LOADED: Final = ("service-2", "endpoint-rule-set-1")
SHARED_DATA: Final = ("endpoints", "partitions", "sdk-default-configuration", "_retry")
NOBODY: Final = "nobody"


class Clients:
    """Makes and keeps the clients; leaving it closes them all. `timeouts`: to connect, and for an answer, in seconds."""

    def __init__(
        self,
        *,
        profile: str | None,
        endpoint_url: str | None,
        endpoints: Mapping[str, str],
        timeouts: tuple[float, float],
        connections: int,
        retries: RetryBudget,
    ) -> None:
        self._session = aioboto3.Session(profile_name=profile)
        _read_times_fast(self._session)
        self._endpoint_url = endpoint_url
        self._endpoints = endpoints
        self._connect_timeout, self._read_timeout = timeouts
        self._connections = connections
        self._retries = retries
        self._stack = AsyncExitStack()
        self._clients: dict[tuple[str, str], Any] = {}
        self._turn = asyncio.Lock()
        self._read: set[str] = set()
        self._tls = SharedTls()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._clients.clear()
        await self._stack.aclose()

    async def get(self, service: str, region: str) -> Any:
        """Return the client of a service in a region; raises botocore's errors for a name it cannot be made for."""
        if (client := self._clients.get((service, region))) is not None:
            return client
        async with self._turn:
            if (service, region) not in self._clients:
                await self._read_models(service)
                self._clients[service, region] = await self._make(service, region)
                await asyncio.sleep(0)
        return self._clients[service, region]

    async def own_credentials(self) -> AioCredentials | None:
        """Return the daemon's own credentials: the profile's, else what botocore's default chain finds."""
        credentials: AioCredentials | None = await self._session.get_credentials()
        return credentials

    async def _read_models(self, service: str) -> None:
        """Read a service's description in a thread: EC2's alone would hold the loop for 200 ms."""
        if service not in self._read:
            await asyncio.to_thread(self._tls.prepare)
            await asyncio.to_thread(_load, self._session, service)
            self._read.add(service)

    async def _make(self, service: str, region: str) -> Any:
        client = await self._stack.enter_async_context(
            self._session.client(
                service,
                region_name=region,
                endpoint_url=self._endpoints.get(service, self._endpoint_url),
                aws_access_key_id=NOBODY,
                aws_secret_access_key=NOBODY,
                config=self._config(service),
            )
        )
        self._hook(client)
        return client

    def _config(self, service: str) -> AioConfig:
        return AioConfig(
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            connect_timeout=self._connect_timeout,
            read_timeout=LONG_POLL_TIMEOUT if service == "sqs" else self._read_timeout,
            max_pool_connections=self._connections,
            http_session_cls=self._tls.session_class,
        )

    def _hook(self, client: Any) -> None:
        """Tie each attempt to its caller: whose credentials sign it, whose bucket it draws from."""
        name = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-sign.{name}", sign_as_current)
        client.meta.events.register(f"response-received.{name}", observe_answer)
        client.meta.events.register_first(f"needs-retry.{name}", self._allow_retry)

    def _allow_retry(
        self, response: Any, attempts: int, caught_exception: Exception | None, operation: Any, **_: Any
    ) -> None:
        """End the call with the answer at hand when the process has retried enough (botocore's `needs-retry`)."""
        parsed = response[1] if response is not None else {}
        if caught_exception is None and not _worth_retrying(parsed):
            self._retries.earn()
        elif attempts < ATTEMPTS:
            if not self._retries.spend():
                raise caught_exception or ClientError(parsed, operation.name)
            note_retry()


def _worth_retrying(parsed: Mapping[str, Any]) -> bool:
    status = parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= SERVER_ERROR or is_throttled(parsed)


def timestamp(value: str | float) -> datetime:
    """Return a time of an AWS answer; ISO 8601, which nearly all are, is read without dateutil, botocore's own way."""
    if isinstance(value, str):
        with suppress(ValueError):
            read = datetime.fromisoformat(value)
            if read.tzinfo is not None:
                return read
    parsed: datetime = parse_timestamp(value)
    return parsed


def _read_times_fast(session: aioboto3.Session) -> None:
    # aioboto3 offers no public way to the session's parsers, botocore does: ResponseParserFactory.set_parser_defaults.
    parsers = session._session.get_component("response_parser_factory")  # noqa: SLF001
    parsers.set_parser_defaults(timestamp_parser=timestamp)


def _load(session: aioboto3.Session, service: str) -> None:
    """Fill the loader's cache, from which clients are made."""
    # aioboto3 offers no public way to its loader; a cold cache only costs time, so a missing file is no error.
    loader = session._session.get_component("data_loader")  # noqa: SLF001
    for kind in LOADED:
        _load_if_there(lambda kind=kind: loader.load_service_model(service, kind))
    for name in SHARED_DATA:
        _load_if_there(lambda name=name: loader.load_data(name))


def _load_if_there(load: Any) -> None:
    try:
        load()
    except DataNotFoundError:
        return

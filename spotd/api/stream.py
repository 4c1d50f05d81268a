"""The stream: one log of what changed, encoded for WebSocket and for server-sent events.

A message says that something changed; the client reads again what it shows. Who is too slow gets a `gap`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import msgspec
import structlog
from aiohttp import WSCloseCode, web

from spotd.api.access import Principal
from spotd.api.metrics import HttpMetrics
from spotd.api.problems import Refusal
from spotd.api.services import Services
from spotd.changes import Change, Changes, Gap, Subscription

log = structlog.get_logger(__name__)

KEEP_ALIVE = 15.0
"""Seconds of silence after which a stream says that it lives; proxies cut what is silent for a minute."""

MAX_STREAMS = 500
MAX_INCOMING = 1024
Message = Mapping[str, Any]


class _Feed(NamedTuple):
    """One client's subscription, the place it came in at, and what it is told first."""

    subscription: Subscription
    place: int
    first: tuple[Message, ...]


class Streams:
    """Serves the change log to clients, each with its own place in it."""

    def __init__(self, services: Services, metrics: HttpMetrics) -> None:
        self._services = services
        self._metrics = metrics
        self._open: set[Subscription] = set()

    async def close(self, _: web.Application) -> None:
        """End every stream; clients come back and resume."""
        for subscription in tuple(self._open):
            subscription.close()

    async def websocket(self, request: web.Request, principal: Principal, after: str | None) -> web.StreamResponse:
        """Serve one WebSocket until either side ends it."""
        with self._subscribed(after) as feed:
            socket = web.WebSocketResponse(heartbeat=KEEP_ALIVE, max_msg_size=MAX_INCOMING)
            await socket.prepare(request)
            halves = (_listen(socket, feed.subscription), _tell(socket, _messages(feed, principal)))
            for outcome in await self._services.side_by_side(halves, limit=len(halves)):
                if outcome.error is not None and not isinstance(outcome.error, ConnectionError):
                    log.warning("api.stream_failed", error=str(outcome.error), exc_info=outcome.error)
        return socket

    async def events(self, request: web.Request, principal: Principal, after: str | None) -> web.StreamResponse:
        """Serve server-sent events until either side ends them."""
        with self._subscribed(request.headers.get("Last-Event-ID") or after) as feed:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            await response.prepare(request)
            with suppress(ConnectionError):  # the client went: it comes back when it wants to
                async for message in _messages(feed, principal):
                    await response.write(_event(message, feed.place, self._services.changes.epoch))
        return response

    @contextmanager
    def _subscribed(self, after: str | None) -> Iterator[_Feed]:
        """Follow the log while the block runs."""
        if len(self._open) >= MAX_STREAMS:
            raise Refusal(503, "too_many_streams", f"{MAX_STREAMS} streams are open already")
        changes = self._services.changes
        place, first = _resume(changes, after)
        subscription = changes.subscribe(place)
        self._open.add(subscription)
        self._metrics.streams.inc()
        try:
            yield _Feed(subscription, place, first)
        finally:
            subscription.close()
            self._open.discard(subscription)
            self._metrics.streams.dec()


def _resume(changes: Changes, after: str | None) -> tuple[int, tuple[Message, ...]]:
    """Return where to follow the log from, and what to say first: hello, and a gap if the place is of another epoch."""
    hello = {"type": "hello", "epoch": changes.epoch, "sequence": changes.sequence}
    if after is None:
        return changes.sequence, (hello,)
    epoch, _, sequence = after.rpartition(":")
    if not sequence.isdecimal() or epoch not in ("", changes.epoch):
        return changes.sequence, (hello, _gap(0, changes.sequence))
    return int(sequence), (hello,)


async def _messages(feed: _Feed, principal: Principal) -> AsyncIterator[Message | None]:
    """Yield messages as they come, None after each long silence."""
    for message in feed.first:
        yield message
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                found = await anext(feed.subscription, None)
        except TimeoutError:
            yield None
            continue
        if found is None:
            return
        shown = _shown(found, principal)
        if shown is not None:
            yield shown


def _shown(found: Change | Gap, principal: Principal) -> Message | None:
    """Return the message for this principal; what concerns another account is left out."""
    if isinstance(found, Gap):
        return _gap(found.after, found.sequence)
    account_id = found.facts.get("account_id")
    if account_id is not None and not principal.sees(account_id):
        return None
    facts = found.facts if principal.account in (None, account_id) else {}
    return {"type": "changed", "sequence": found.sequence, "topic": found.topic, "facts": facts, "at": found.at}


def _gap(after: int, sequence: int) -> Message:
    return {"type": "gap", "after": after, "sequence": sequence}


async def _listen(socket: web.WebSocketResponse, subscription: Subscription) -> None:
    """Read until the client goes: what it says is ignored, that it goes is not."""
    try:
        async for _ in socket:
            pass
    finally:
        subscription.close()


async def _tell(socket: web.WebSocketResponse, messages: AsyncIterator[Message | None]) -> None:
    try:
        async for message in messages:
            if message is not None:
                await socket.send_str(_encoded(message).decode())
    finally:
        await socket.close(code=WSCloseCode.GOING_AWAY)


def _event(message: Message | None, place: int, epoch: str) -> bytes:
    """Encode a server-sent event (HTML standard, 9.2).

    Its id is where to resume: after a hello that is where the client came in, because nothing else was told yet.
    """
    if message is None:
        return b": alive\n\n"
    last = place if message["type"] == "hello" else message["sequence"]
    head = f"id: {epoch}:{last}\nevent: {message['type']}\ndata: "
    return head.encode() + _encoded(message) + b"\n\n"


def _encoded(message: Message) -> bytes:
    return msgspec.json.encode(message, enc_hook=str)

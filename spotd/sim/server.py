"""The front: one HTTP endpoint for all services, faults included; the state behind it belongs to one thread."""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ParamSpec, TypeVar

from aiohttp import web

from spotd.sim import backends, building, services
from spotd.sim.catalogue import Catalogue
from spotd.sim.errors import ServiceError
from spotd.sim.faults import Fault, Faults
from spotd.sim.happenings import Director
from spotd.sim.identity import unknown_key
from spotd.sim.market import Market
from spotd.sim.options import Options
from spotd.sim.protocol import Call, HttpRequest, Reply, call_of, failure, prepare_answer, success

P = ParamSpec("P")
R = TypeVar("R")

TICK = 0.25
POLL = 0.05
RECENT_CALLS = 20_000


class Simulator:
    """The simulated AWS: `open` builds the world, `answer` is its HTTP face."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.faults = Faults()
        self.latency = options.latency
        self.counts: Counter[str] = Counter()
        self.calls: deque[dict[str, Any]] = deque(maxlen=RECENT_CALLS)
        self.advisor_override: tuple[int, str] | None = None
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")
        self._closing = asyncio.Event()

    async def open(self) -> None:
        """Build the world, on the thread that owns it from then on."""
        await self.owned(self._build)

    def _build(self) -> None:
        moto = backends.prepare(self.options.seed)
        self.world = building.build(self.options, moto)
        self.catalogue = Catalogue(self.options.data, self.options.seed)
        self.market = Market(self.catalogue, self.options.seed)
        self.director = Director(self.world)
        self._handlers = services.handlers(self.world, self.catalogue, self.market)
        self.feed = json.dumps(self.catalogue.advisor).encode()
        for name in self._handlers:
            prepare_answer(*name.split("."))

    async def owned(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run something on the state's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._owner, lambda: work(*args, **kwargs))

    async def ticker(self) -> None:
        """Move the world on until closed."""
        while not self._closing.is_set():
            await self.owned(self.director.tick)
            await asyncio.sleep(TICK)

    def close(self) -> None:
        """Let go of hanging calls and of the state's thread."""
        self._closing.set()
        self._owner.shutdown(wait=False, cancel_futures=True)

    # --- HTTP ------------------------------------------------------------------

    async def advisor(self, _request: web.Request) -> web.Response:
        """The Spot Advisor's feed, in its published shape."""
        if self.advisor_override is not None:
            status, text = self.advisor_override
            return web.Response(status=status, text=text, content_type="application/json")
        return web.Response(body=self.feed, content_type="application/json")

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any AWS call."""
        started = time.perf_counter()
        call = call_of(await _http(request))
        if call is None:
            return web.Response(
                status=HTTPStatus.FORBIDDEN, text="<Error><Code>MissingAuthenticationToken</Code></Error>"
            )
        call = await self.owned(self._identified, call)
        fault = self.faults.strike(call)
        self.counts[call.name] += 1
        await asyncio.sleep(self.latency + (fault.latency if fault else 0.0))
        if fault is not None and (fault.hang or fault.drop):
            return await self._silence(request, fault)
        reply = await self._reply(request, call, fault)
        self._log(call, reply, started)
        return await _send(request, reply, fault)

    async def _reply(self, request: web.Request, call: Call, fault: Fault | None) -> Reply:
        if fault is not None and fault.body is not None:
            return Reply(fault.status, "text/xml", fault.body.encode())
        try:
            if fault is not None:
                fault.refuse()
            await self.owned(self._admit, call)
            if call.name == "sqs.ReceiveMessage":
                call = await self._message_waits(request, call)
            return await self.owned(self._perform, call)
        except ServiceError as error:
            return failure(call, error)

    async def _silence(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.hang:
            await self._closing.wait()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    def _log(self, call: Call, reply: Reply, started: float) -> None:
        self.calls.append(
            {
                "at": time.time(),
                "call": call.name,
                "region": call.region,
                "account_id": call.account_id,
                "access_key_id": call.access_key_id,
                "status": reply.status,
                "ms": round((time.perf_counter() - started) * 1000, 2),
            }
        )

    # --- on the state's thread ----------------------------------------------------

    def _identified(self, call: Call) -> Call:
        """The call with its caller, if the key is known at all (nothing is proven yet)."""
        principal = self.world.identities.find(call.access_key_id)
        return call.by(principal.account_id, principal.arn) if principal is not None else call

    def _admit(self, call: Call) -> None:
        """Raise the refusal that AWS would give to this caller, here, for this operation."""
        principal = self.world.identities.authenticate(call, self.world.now())
        if call.region not in self.options.enabled_regions:
            raise unknown_key(call)
        self.world.identities.authorize(call, principal)
        if call.service == "sqs":
            _check_owner(call)

    def _perform(self, call: Call) -> Reply:
        handler = self._handlers.get(call.name)
        return success(call, handler(call.understood())) if handler is not None else self.world.moto.forward(call)

    # --- SQS long polls -------------------------------------------------------------

    async def _message_waits(self, request: web.Request, call: Call) -> Call:
        """Wait for a message as long as the caller asked, then ask moto without waiting: its own wait holds a thread."""
        self.director.somebody_listens()
        body = json.loads(call.request.body)
        deadline = time.monotonic() + int(body.get("WaitTimeSeconds") or 0)
        while time.monotonic() < deadline and not self._closing.is_set():
            if request.transport is None or request.transport.is_closing():
                break
            if await self.owned(self._has_messages, call, str(body.get("QueueUrl", ""))):
                break
            await asyncio.sleep(POLL)
        altered = json.dumps({**body, "WaitTimeSeconds": 0}).encode()
        return replace(call, request=replace(call.request, body=altered))

    def _has_messages(self, call: Call, url: str) -> bool:
        sqs = self.world.moto.existing("sqs", call.account_id, call.region)
        queue = sqs.queues.get(url.rpartition("/")[2]) if sqs is not None else None
        return queue is None or bool(queue.messages)


def _check_owner(call: Call) -> None:
    url = str(json.loads(call.request.body or b"{}").get("QueueUrl", ""))
    owner = url.split("/")[-2] if url.count("/") >= 4 else call.account_id  # noqa: PLR2004 - scheme://host/owner/name
    if owner != call.account_id:
        message = f"User: {call.caller_arn} is not authorized to access the queue {url}"
        raise ServiceError("AccessDeniedException", message)


async def _http(request: web.Request) -> HttpRequest:
    path, _, query = request.raw_path.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return HttpRequest(request.method, path, query, headers, await request.read())


async def _send(request: web.Request, reply: Reply, fault: Fault | None) -> web.StreamResponse:
    body = reply.body
    if fault is not None and fault.truncate == "body":
        body = body[: len(body) // 2]
    headers = {**reply.headers, "Content-Type": reply.content_type}
    if fault is None or fault.truncate != "connection":
        return web.Response(status=reply.status, body=body, headers=headers)
    response = web.StreamResponse(status=reply.status, headers={**headers, "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response

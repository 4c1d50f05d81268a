"""The application and its two listeners: the local socket and loopback TCP."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
from aiohttp import web

from spotd.api import page, peers
from spotd.api.endpoint import Endpoint
from spotd.api.gate import Gate, Tickets
from spotd.api.hosts import LOOPBACK, host_check, is_loopback
from spotd.api.limits import Limits
from spotd.api.metrics import HttpMetrics
from spotd.api.problems import problems, route_pattern
from spotd.api.routes import Parts, table
from spotd.api.routing import checked
from spotd.api.services import Services
from spotd.api.stream import Streams
from spotd.api.tokens import TokenBook
from spotd.errors import InvalidInput

log = structlog.get_logger(__name__)

MAX_BODY = 1024 * 1024
MAX_LINE = 64 * 1024
"""Longest request line: four tags of AWS's greatest length, each character escaped, fit."""

LONGEST_SOCKET_PATH = 100
"""Linux allows 107 bytes in `sun_path`; see unix(7)."""

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def create_app(services: Services, *, limits: Limits | None = None) -> web.Application:
    """Return the application: every route of the table and the page.

    Raises RouteWithoutScope for a route nobody decided on. Call it in a running event loop.
    """
    loop = asyncio.get_running_loop()
    tickets, book, metrics = Tickets(), TokenBook(services.db, services.clock, loop.time), HttpMetrics()
    streams = Streams(services, metrics)
    gate = Gate(services, book, tickets, limits or Limits())
    names = LOOPBACK | {name.lower() for name in services.allowed_hosts}
    app = web.Application(
        client_max_size=MAX_BODY,
        middlewares=[_measured(metrics), problems, host_check(names, is_local=peers.over_socket)],
    )
    parts = Parts(services=services, book=book, tickets=tickets, metrics=metrics, streams=streams)
    for route in checked(table(parts)):
        endpoint = Endpoint(route, services, gate)
        app.router.add_route(route.method, route.path, endpoint.__call__)
        if route.alias:
            app.router.add_route(route.method, route.alias, endpoint.__call__)
    page.add_to(app)
    app.on_response_prepare.append(_harden)
    app.on_shutdown.append(streams.close)
    return app


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


def _measured(metrics: HttpMetrics) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def measure(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        time = asyncio.get_running_loop().time
        began = time()
        response = await handler(request)
        if isinstance(response, web.Response):
            metrics.answered(request.method, route_pattern(request), response.status, time() - began)
        return response

    return measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where to listen: TCP `host` and `port` (0 picks a free one), and the local socket's path or None.

    A host that is not loopback is refused unless `allow_remote` says that something in front of it keeps others out.
    """

    host: str = "127.0.0.1"
    port: int = 8680
    socket: Path | None = None
    allow_remote: bool = False


class ApiServer:
    """Serves an application until stopped."""

    def __init__(self, app: web.Application, listen: Listen) -> None:
        if not is_loopback(listen.host) and not listen.allow_remote:
            raise InvalidInput(
                f"{listen.host} is reachable from other machines; put TLS in front of it and set `api.allow_remote`",
                field="api.host",
            )
        self._listen = listen
        self._runner = web.AppRunner(
            app, handle_signals=False, shutdown_timeout=1.0, access_log=None, max_line_size=MAX_LINE
        )
        self._address: tuple[str, int] | None = None

    @property
    def port(self) -> int:
        """The TCP port in use, once started."""
        assert self._address is not None, "the server has not started"
        return self._address[1]

    @property
    def url(self) -> str:
        """The TCP address for a person, once started."""
        host = f"[{self._listen.host}]" if ":" in self._listen.host else self._listen.host
        return f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Listen on both; raises OSError when an address is taken."""
        await self._runner.setup()
        try:
            await self._start_sites()
        except BaseException:
            await self._runner.cleanup()
            raise
        log.info("api.listening", url=self.url, socket=str(self._listen.socket or ""))

    async def stop(self) -> None:
        """Close streams, let running requests finish for a second, stop listening."""
        await self._runner.cleanup()
        if self._listen.socket is not None:
            self._listen.socket.unlink(missing_ok=True)

    async def _start_sites(self) -> None:
        if self._listen.socket is not None:
            await web.SockSite(self._runner, bound_socket(self._listen.socket)).start()
        tcp = web.TCPSite(self._runner, self._listen.host, self._listen.port)
        await tcp.start()
        name = self._runner.addresses[-1]
        self._address = (str(name[0]), int(name[1]))


def bound_socket(path: Path) -> socket.socket:
    """Return a socket bound to this path that only the daemon's user can connect to (0600).

    The state directory's lock keeps a second daemon away, so a file left behind is a dead daemon's.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _bind(sock, path)
        path.chmod(0o600)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, path: Path) -> None:
    """Bind, through the directory's descriptor where the path is longer than a socket address may be."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        sock.bind(str(path))
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        with suppress(OSError):
            os.close(directory)

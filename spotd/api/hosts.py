"""The Host and Origin checks: a web page on another name must not reach the daemon through the visitor's browser."""

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from spotd.api.problems import Refusal

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether listening on this host keeps the port to this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed(authority: str, names: frozenset[str]) -> bool:
    """Whether a `Host` header, or the authority of an `Origin`, names this daemon, whatever the port."""
    try:
        host = urlsplit(f"//{authority}").hostname
    except ValueError:
        return False
    return host is not None and host in names


def host_check(names: frozenset[str], *, is_local: Callable[[web.Request], bool]) -> Middleware:
    """Return the middleware that answers 421 to a foreign Host and 403 to a foreign Origin.

    Requests of the local socket carry no meaningful Host and pass.
    """

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not is_local(request):
            _check_host(request, names)
        _check_origin(request, names)
        return await handler(request)

    return check


def _check_host(request: web.Request, names: frozenset[str]) -> None:
    if not allowed(request.headers.get("Host", ""), names):
        raise Refusal(
            421, "misdirected_request", "this Host is not served here; `api.allowed_hosts` lists those that are"
        )


def _check_origin(request: web.Request, names: frozenset[str]) -> None:
    origin = request.headers.get("Origin")
    if origin is None:
        return
    authority = origin.partition("://")[2]
    if authority != request.headers.get("Host") and not allowed(authority, names - LOOPBACK):
        raise Refusal(
            403, "foreign_origin", "this Origin may not use the API; `api.allowed_hosts` lists those that may"
        )

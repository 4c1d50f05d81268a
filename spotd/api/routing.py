"""One `Route` per thing the API does: authorization, validation, OpenAPI and tests all read it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from aiohttp import web
from msgspec import Struct

from spotd.api.access import Principal, Scope
from spotd.api.services import Services

BASE = "/api/v1"
LISTED = ("application/json", "text/csv")
"""What a list is answered as."""

Q = TypeVar("Q")
B = TypeVar("B")


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameter is understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[Q, B]):
    """One authorized request with its validated parts; `request` is for streams and raw bodies only."""

    services: Services
    principal: Principal
    path: Mapping[str, str]
    query: Q
    body: B
    request: web.Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A handler's value where status or headers differ from the route's."""

    value: object = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation.

    `response` is the type of the answer's JSON (None: no body). `also` are other statuses
    with the same answer, `refusals` problems beside those every route has. `wide` shows or changes the whole daemon and is refused to tokens limited to one account. `raw` handlers
    read the body or write the answer themselves. `alias` answers the same outside the base path. `signed` routes
    accept a signature in place of a token, `ticketed` ones a ticket.
    """

    method: str
    path: str
    handler: Callable[[Call[Any, Any]], Awaitable[object]]
    scope: Scope | None = None
    query: type[Struct] = NoQuery
    body: Any = None
    response: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    refusals: tuple[int, ...] = ()
    media: tuple[str, ...] = ("application/json",)
    wide: bool = False
    raw: bool = False
    signed: bool = False
    ticketed: bool = False
    alias: str | None = None

    @property
    def operation(self) -> str:
        """The operation's name in OpenAPI."""
        return self.handler.__name__

    @property
    def summary(self) -> str:
        """What it does, in one sentence."""
        return (self.handler.__doc__ or "").strip().split("\n")[0]


class RouteWithoutScope(Exception):
    """A route names no scope; nothing is served before that is decided."""


def checked(routes: Iterable[Route]) -> tuple[Route, ...]:
    """Return the routes; raises RouteWithoutScope rather than serve one that nobody decided on."""
    table = tuple(routes)
    for route in table:
        if route.scope is None:
            raise RouteWithoutScope(f"{route.method} {route.path} has no scope")
    return table

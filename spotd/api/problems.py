"""RFC 9457 problems: the one shape every refusal and failure has, and the middleware that gives it."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus

import msgspec
import structlog
from aiohttp import web
from msgspec import Struct

from spotd.aws.errors import AwsError, MalformedReply, Trouble
from spotd.config import ConfigError
from spotd.errors import Conflict, InvalidInput, NotFound, SpotdError, StoreUnavailable

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS_OF: Mapping[type[SpotdError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    MalformedReply: HTTPStatus.BAD_GATEWAY,
}

STATUS_OF_TROUBLE: Mapping[Trouble, HTTPStatus] = {
    Trouble.TRANSIENT: HTTPStatus.SERVICE_UNAVAILABLE,
    Trouble.THROTTLED: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Pointed(Struct, frozen=True):
    """What is wrong with one field; `pointer` is an RFC 6901 pointer, or a parameter's name after a slash."""

    pointer: str
    detail: str


class Problem(Struct, frozen=True, kw_only=True):
    """What went wrong; `code` is for programs and stable, `retryable` says whether the same call may succeed later."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    errors: tuple[Pointed, ...] = ()


class Refusal(Exception):
    """A request the API itself turns down, before any service sees it."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: tuple[Pointed, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = HTTPStatus(status)
        self.code = code
        self.errors = errors
        self.headers = headers or {}


def unprocessable(pointer: str, detail: str) -> Refusal:
    """Return the 422 that names one field."""
    return Refusal(422, "invalid_input", detail, errors=(Pointed(pointer, detail),))


def problem_response(
    status: HTTPStatus,
    code: str,
    detail: str,
    *,
    retryable: bool = False,
    errors: tuple[Pointed, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Encode one problem."""
    problem = Problem(
        type=f"urn:spotd:problem:{code}",
        title=status.phrase,
        status=status,
        detail=detail,
        code=code,
        retryable=retryable,
        errors=errors,
    )
    return web.Response(status=status, body=msgspec.json.encode(problem), content_type=MEDIA_TYPE, headers=headers)


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every error as a problem; what nobody expected says nothing of the inside and is logged."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return _from_refusal(refusal)
    except SpotdError as error:
        return _from_spotd(error)
    except web.HTTPException as error:
        return _from_http(error)
    except TimeoutError:
        return problem_response(HTTPStatus.SERVICE_UNAVAILABLE, "timed_out", "It took too long.", retryable=True)
    except Exception:
        log.exception("api.failed", method=request.method, route=route_pattern(request))
        return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "Something broke; the log has it.")


def route_pattern(request: web.Request) -> str:
    """Return the route's pattern (`/api/v1/accounts/{account}`), never the path with its ids."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


def _from_refusal(refusal: Refusal) -> web.Response:
    retryable = refusal.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    return problem_response(
        refusal.status,
        refusal.code,
        str(refusal),
        retryable=retryable,
        errors=refusal.errors,
        headers=refusal.headers,
    )


def _from_spotd(error: SpotdError) -> web.Response:
    code = f"aws_{error.trouble}" if isinstance(error, AwsError) else error.code
    return problem_response(
        _status_of(error), code, str(error), retryable=error.retryable, errors=tuple(_pointed(error))
    )


def _pointed(error: SpotdError) -> Iterator[Pointed]:
    """Yield what is wrong with which field, or which option of the configuration."""
    if isinstance(error, InvalidInput) and error.field:
        yield Pointed("/" + error.field.lstrip("/"), str(error))
    if isinstance(error, ConfigError):
        yield from (Pointed("/" + each.path.replace(".", "/"), each.message) for each in error.problems)


def _status_of(error: SpotdError) -> HTTPStatus:
    if isinstance(error, AwsError):
        return STATUS_OF_TROUBLE.get(error.trouble, HTTPStatus.BAD_GATEWAY)
    for kind in type(error).__mro__:
        if kind in STATUS_OF:
            return STATUS_OF[kind]
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _from_http(error: web.HTTPException) -> web.Response:
    status = HTTPStatus(error.status)
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return problem_response(status, status.name.lower(), error.reason or status.phrase, headers=headers)

"""A client of the daemon's API: finds the daemon, asks, and turns refusals into failures with exit codes."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from spotd.cli.failures import CONFLICT, FAILED, NOT_AUTHORISED, NOT_FOUND, RETRY, UNREACHABLE, USAGE, Failure
from spotd.cli.transport import Address, Answer, Unreachable, exchange, stream

BASE = "/api/v1"
EXIT_OF_STATUS = {401: NOT_AUTHORISED, 403: NOT_AUTHORISED, 404: NOT_FOUND, 409: CONFLICT}
RETRYABLE = (429, 502, 503, 504)
GOOD = range(200, 300)


class Client:
    """Talks to one daemon."""

    def __init__(self, address: Address, token: str | None = None) -> None:
        self.address = address
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Read a resource below the API's base."""
        return self._decoded("GET", BASE + path + _query(query))

    def post(self, path: str, body: object = None) -> Any:
        """Post a JSON body, if any."""
        return self._decoded("POST", BASE + path, body)

    def put(self, path: str, body: object) -> Any:
        """Put a JSON body."""
        return self._decoded("PUT", BASE + path, body)

    def delete(self, path: str) -> None:
        """Delete a resource."""
        self._decoded("DELETE", BASE + path)

    def pages(self, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Read a listing page by page to its end."""
        page = self.get(path, query)
        yield page
        while page["next_cursor"]:
            page = self.get(path, {**query, "cursor": page["next_cursor"]})
            yield page

    def text(self, target: str) -> str:
        """Read what is not JSON, such as `/metrics`, by its full path."""
        return self._exchange("GET", target).body.decode()

    @contextmanager
    def lines(self, path: str) -> Iterator[Iterator[str]]:
        """Follow a stream line by line until it ends; an hour of silence ends it too."""
        with (
            self._reaching(),
            stream(
                self.address,
                "GET",
                BASE + path,
                headers={**self._headers, "Accept": "text/event-stream"},
                timeout=3600,
            ) as (status, headers, lines),
        ):
            if status not in GOOD:
                raise _refused(Answer(status, headers, b"".join(lines)))
            yield (line.decode().rstrip("\r\n") for line in lines)

    def _decoded(self, method: str, target: str, body: object = None) -> Any:
        content = self._exchange(method, target, body).body
        try:
            return json.loads(content) if content else None
        except ValueError:
            raise Failure(f"{self.address.url} answers, but not as spotd's API does", code=UNREACHABLE) from None

    def _exchange(self, method: str, target: str, body: object = None) -> Answer:
        content, headers = b"", self._headers
        if body is not None:
            content, headers = json.dumps(body).encode(), {**headers, "Content-Type": "application/json"}
        with self._reaching():
            answer = exchange(self.address, method, target, headers=headers, body=content)
        if answer.status not in GOOD:
            raise _refused(answer)
        return answer

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except Unreachable as error:
            raise Failure(
                f"no daemon answers at {self.address.url}",
                why=str(error),
                fix="start it with `spotd run`, or name another one with SPOTD_URL and SPOTD_TOKEN",
                code=UNREACHABLE,
            ) from None


def find_client(config: str | None = None, environ: Mapping[str, str] | None = None) -> Client:
    """Return a client of the daemon that `SPOTD_URL` names, else of the one whose configuration this is.

    Without either it is the one at the default socket. Raises Failure for an address that is none.
    """
    environ = os.environ if environ is None else environ
    url = environ.get("SPOTD_URL") if config is None else None
    try:
        address = Address(url or f"unix:{_socket(config, environ)}")
    except ValueError as error:
        raise Failure("SPOTD_URL is no address of a daemon", why=str(error), code=USAGE) from None
    return Client(address, environ.get("SPOTD_TOKEN"))


def _socket(config: str | None, environ: Mapping[str, str]) -> str:
    """Return where the daemon's socket is; only a configuration file makes it worth loading the configuration."""
    path = config or environ.get("SPOTD_CONFIG")
    if path is None and (given := environ.get("SPOTD__API__SOCKET")):
        return given
    if path is None:
        return f"{_state_dir(environ)}/spotd.sock"
    from pathlib import Path

    from spotd.config import load

    return str(load(Path(path), environ).api.socket)


def _state_dir(environ: Mapping[str, str]) -> str:
    """Mirror `spotd.config.default_state_dir` without the time it takes to load."""
    given = environ.get("SPOTD__STATE_DIR") or environ.get("STATE_DIRECTORY", "").split(":")[0]
    return given or os.path.expanduser("~/.local/state/spotd")  # noqa: PTH111 - pathlib takes longer to load


def _query(query: Mapping[str, Any] | None) -> str:
    given = {name: value for name, value in (query or {}).items() if value not in (None, ())}
    if not given:
        return ""
    from urllib.parse import urlencode

    return "?" + urlencode(given, doseq=True)


def _refused(answer: Answer) -> Failure:
    """Make a failure of a problem document (RFC 9457), or of whatever else came."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    retry = problem.get("retryable", answer.status in RETRYABLE)
    code = EXIT_OF_STATUS.get(answer.status, RETRY if retry else FAILED)
    what = problem.get("detail") or problem.get("title") or f"the daemon answered with status {answer.status}"
    errors = [_field(error) for error in problem.get("errors") or ()]
    if len(errors) == 1 and errors[0].endswith(what):
        return Failure(errors[0], fix=_fix(answer.status, retry=retry), code=code)
    return Failure(what, why="\n".join(errors), fix=_fix(answer.status, retry=retry), code=code)


def _field(error: Mapping[str, str]) -> str:
    """Say what is wrong with one field, or with the whole."""
    return f"{error['pointer']}: {error['detail']}" if error["pointer"] else error["detail"]


def _fix(status: int, *, retry: bool) -> str:
    if status == 401:  # noqa: PLR2004
        return "set SPOTD_TOKEN; `spotd token create` on the daemon's own machine makes one"
    if status == 403:  # noqa: PLR2004
        return "use a token with the scope it names; `spotd token list` shows what there is"
    return "try again in a moment" if retry else ""

"""moto, held at arm's length: prepared once, reached by account and region, and called as a WSGI application.

moto keeps the state (instances, volumes, groups, queues, roles), so whatever it can already change stays changeable;
what it lacks or does slowly is answered by this package instead. All of it runs on one thread, the state's owner.
"""

import io
import os
from collections.abc import Iterable
from http import HTTPStatus
from importlib import resources
from typing import Any

from spotd.sim.errors import ServiceError
from spotd.sim.protocol import Call, Reply


def prepare(seed: int) -> "Moto":
    """Load moto with a few images of ours (its own 1,301 cost 150 ms a region) and seeded identifiers."""
    os.environ["MOTO_AMIS_PATH"] = str(resources.files("spotd.sim").joinpath("images.json"))
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    return Moto(seed)


class Moto:
    """Access to moto's back ends; create it through `prepare`."""

    def __init__(self, seed: int) -> None:
        # moto reads its environment when imported, so it is imported here and not above.
        from moto import backends  # noqa: PLC0415
        from moto.moto_api._internal import mock_random  # noqa: PLC0415
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415

        mock_random.seed(seed)
        self._backends: Any = backends
        self._application: Any = DomainDispatcherApplication(create_backend_app)
        for service in _WARM:
            self._application.get_application(_signed_for(service))

    def of(self, service: str, account_id: str, region: str) -> Any:
        """A service's back end, created when first asked for."""
        return self._backends.get_backend(service)[account_id][region]

    def existing(self, service: str, account_id: str, region: str) -> Any | None:
        """A service's back end if something already lives there, else None."""
        account = self._backends.get_backend(service)[account_id]
        return account[region] if region in account.keys() else None  # noqa: SIM118 - `in account` means "could exist"

    def iam(self, account_id: str) -> Any:
        """IAM of an account (it has no region)."""
        return self.of("iam", account_id, "aws")

    def forward(self, call: Call) -> Reply:
        """Let moto answer; what it does not implement becomes `InvalidAction` instead of an HTML page."""
        try:
            status, headers, body = self._wsgi(call)
        except NotImplementedError:
            raise ServiceError("InvalidAction", f"The action {call.name} is not simulated.") from None
        content_type = headers.pop("content-type", "text/xml")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and content_type.startswith("text/html"):
            raise ServiceError("InternalError", f"moto failed at {call.name}.", status)
        return Reply(status, content_type, body, headers)

    def _wsgi(self, call: Call) -> tuple[int, dict[str, str], bytes]:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
            started.append((status, headers))
            return lambda _data: None

        chunks: Iterable[bytes] = self._application(_environ(call), start_response)
        try:
            body = b"".join(chunks)
        finally:
            getattr(chunks, "close", lambda: None)()
        status, headers = started[-1]
        kept = {name.lower(): value for name, value in headers if name.lower() not in _HOP}
        return int(status.split()[0]), kept, body


_WARM = ("ec2", "sqs", "autoscaling", "elasticloadbalancing")
"""Services whose first call would else wait for moto to set up their routes."""


def _signed_for(service: str) -> dict[str, str]:
    authorization = f"AWS4-HMAC-SHA256 Credential=none/20200101/us-east-1/{service}/aws4_request, SignedHeaders=host"
    return {"PATH_INFO": "/", "HTTP_HOST": "127.0.0.1", "HTTP_AUTHORIZATION": authorization}


_HOP = frozenset({"content-length", "connection", "transfer-encoding", "server", "date"})


def _environ(call: Call) -> dict[str, Any]:
    request = call.request
    host, _, port = request.headers.get("host", "127.0.0.1:80").partition(":")
    environ = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(request.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    skipped = {"content-type", "content-length"}
    environ |= {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in request.headers.items() if k not in skipped}
    environ["HTTP_X_MOTO_ACCOUNT_ID"] = call.account_id
    return environ

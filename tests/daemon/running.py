"""`spotd run` as a server: what a test asks of it, and everything it wrote."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from spotd.sim.process import SimulatedAccount, SimulatedAws
from tests.servers import Server, until

REPOSITORY = Path(__file__).parent.parent.parent
SPOTD = (sys.executable, "-m", "spotd")
THROUGH_A_PIPE = 'exec "$@" > >(cat) 2>&1'
"""Lets the daemon log into a pipe, so that a limit on its files is none on its log."""

Settings = Mapping[str, str]
"""Options as TOML values, by their full names."""


class Answer(NamedTuple):
    """One answer: status 0 while nobody listens; a JSON body decoded, any other as text."""

    status: int
    body: Any
    text: str = ""


class Spotd(Server):
    """The daemon on a configuration file of its own; its state survives a stop."""

    def __init__(self, aws: SimulatedAws, store_url: str, settings: Settings) -> None:
        super().__init__("daemon")
        self.state = self.home / "state"
        self.config = self.home / "config.toml"
        self._identity = aws.environment()
        self.settings = {
            "state_dir": quoted(self.state),
            "store.url": quoted(store_url),
            "api.port": str(self.port),
            "aws.endpoint_url": quoted(aws.endpoint),
            "prices.advisor_url": quoted(aws.advisor_url),
        }
        self.set(settings)
        if store_url.startswith("postgres"):  # only with SQLite the first start makes a key of its own
            self.run("keys", "generate")

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        assert self._process is not None
        return self._process.pid

    def set(self, settings: Settings) -> None:
        """Change the configuration file."""
        self.settings |= settings
        self.config.write_text("".join(f"{name} = {value}\n" for name, value in self.settings.items()))

    def command(self) -> list[str | Path]:
        """Return the command that runs the daemon in the foreground."""
        return ["bash", "-c", THROUGH_A_PIPE, "spotd", *SPOTD, "run", "--config", self.config]

    def environment(self) -> dict[str, str]:
        """Return an environment that configures nothing but the daemon's own identity."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPOTD", "AWS_"))}
        return kept | self._identity | {"PYTHONPATH": str(REPOSITORY)}

    def answers(self) -> bool:
        """Tell whether the daemon takes work."""
        return self.get("/readyz").status == 200

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run another `spotd` command on the same configuration."""
        return subprocess.run(
            [*SPOTD, *arguments, "--config", self.config],
            check=False, capture_output=True, text=True, timeout=60, env=self.environment(),
        )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        """Send the daemon itself a signal."""
        os.kill(self.pid, number)

    def end(self, seconds: float) -> int:
        """Ask it to stop, as a service manager does; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(seconds)
        self._process = None
        return code

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path as admin; a name without a slash in front is one of the API's."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, body: object = None) -> Answer:
        """POST a document as admin."""
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one request as admin."""
        token = self.state / "admin.token"
        known = {"Authorization": f"Bearer {token.read_text().strip()}"} if token.exists() else {}
        full = path if path.startswith("/") else f"/api/v1/{path}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, full, sent, {"Content-Type": "application/json", **known, **(headers or {})})
            return _read(connection.getresponse())
        except ConnectionError:
            return Answer(0, None)
        finally:
            connection.close()

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return everything a list holds, page after page."""
        answer = self.get(f"{path}?limit=1000").body
        found: list[dict[str, Any]] = answer["items"]
        while answer["next_cursor"]:
            answer = self.get(f"{path}?limit=1000&cursor={answer['next_cursor']}").body
            found += answer["items"]
        return found

    def statuses(self) -> dict[str, str]:
        """Return each account's status by its id."""
        return {account["account_id"]: account["status"] for account in self.items("accounts")}

    def check(self) -> dict[str, Any]:
        """Run every health check now; return the components."""
        answer = self.post("health/check")
        assert answer.status == 200, answer
        components: dict[str, Any] = answer.body["components"]
        return components

    def connect_keys(self, account: SimulatedAccount, **more: object) -> Answer:
        """Connect an account by its access keys."""
        body = {
            "connection_method": "access_keys",
            "account_id": account.account_id,
            "name": account.name,
            "access_key_id": account.access_key_id,
            "secret_access_key": account.secret_access_key,
        }
        return self.post("connect", body | more)

    def connect_role(self, aws: SimulatedAws, account: SimulatedAccount) -> Answer:
        """Create an account, let its role trust the ExternalId given out, connect it."""
        created = self.post("accounts", {"account_id": account.account_id, "name": account.name})
        assert created.status == 201, created
        aws.control("trust", {"role_arn": account.role_arn, "external_id": created.body["external_id"]})
        return self.post("connect", {"connection_method": "iam_role", "role_arn": account.role_arn})

    def until_active(self, *accounts: SimulatedAccount) -> None:
        """Wait for the first discovery of each account."""
        wanted = {account.account_id for account in accounts}
        until(lambda: all(self.statuses().get(one) == "active" for one in wanted), f"{wanted} do not become active")


def quoted(value: object) -> str:
    """Return a TOML string."""
    return json.dumps(str(value))


def quickest(action: Callable[[], object], attempts: int = 3) -> float:
    """Return the least seconds that an action took, so that a busy machine is not taken for a slow program."""
    took = []
    for _ in range(attempts):
        began = time.monotonic()
        action()
        took.append(time.monotonic() - began)
    return min(took)


def _read(response: http.client.HTTPResponse) -> Answer:
    raw = response.read().decode()
    is_json = "json" in (response.getheader("Content-Type") or "")
    return Answer(response.status, json.loads(raw) if is_json and raw else None, raw)

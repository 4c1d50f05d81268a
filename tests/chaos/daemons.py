"""A real daemon and the AWS it talks to, as servers that a test may kill."""

import http.client
import json
import os
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bench.fake_aws import REGIONS, key_of
from tests.servers import Server

REPOSITORY = Path(__file__).parent.parent.parent
SPOTD = (sys.executable, "-m", "spotd")
CONFIG = """
state_dir = "{state}"
[store]
url = "{store}"
[api]
port = {port}
[aws]
endpoint_url = "{aws}"
[prices]
advisor_url = "{aws}/spot-advisor-data.json"
"""


class FakeAws(Server):
    """The benches' fake AWS; slow enough for a kill to find a discovery under way."""

    def __init__(self, *, instances: int, delay: float) -> None:
        super().__init__("aws")
        self._options = ["--instances", str(instances), "--delay", str(delay), "--port", str(self.port)]
        self.expected = instances * len(REGIONS)

    def command(self) -> list[str | Path]:
        """Return the command that runs the server in the foreground."""
        return [sys.executable, REPOSITORY / "bench" / "fake_aws.py", *self._options]

    def answers(self) -> bool:
        """Tell whether the server serves."""
        return "http://" in self.log


class Daemon(Server):
    """`spotd run` with a state directory that survives its kills."""

    def __init__(self, aws: FakeAws, store_url: str | None = None) -> None:
        super().__init__("daemon")
        self.state = self.home / "state"
        self.config = self.home / "config.toml"
        store = store_url or f"sqlite:{self.state / 'spotd.db'}"
        address = f"http://127.0.0.1:{aws.port}"
        self.config.write_text(CONFIG.format(state=self.state, store=store, port=self.port, aws=address))
        if store_url is not None:  # only with SQLite the first start makes a key of its own
            subprocess.run([*SPOTD, "keys", "generate", "--config", self.config], check=True, env=self.environment())

    def command(self) -> list[str | Path]:
        """Return the command that runs the daemon in the foreground."""
        return [*SPOTD, "run", "--config", self.config]

    def environment(self) -> dict[str, str]:
        """Return an environment that configures nothing but the daemon's own identity."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPOTD", "AWS_"))}
        identity = {"AWS_ACCESS_KEY_ID": key_of("000000000000"), "AWS_SECRET_ACCESS_KEY": "chaos"}
        return kept | identity | {"PYTHONPATH": str(REPOSITORY)}

    def answers(self) -> bool:
        """Tell whether the daemon takes work."""
        return self.ask("GET", "/readyz")[0] == HTTPStatus.OK

    def connect(self, account_id: str) -> None:
        """Connect an account by its access keys."""
        keys = {"access_key_id": key_of(account_id), "secret_access_key": "c" * 40}
        body = {"account_id": account_id, "name": "chaos", "connection_method": "access_keys", **keys}
        assert self.ask("POST", "/connect", body) == (HTTPStatus.OK, {"status": "connected"})

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return everything a list holds, page after page."""
        answer = self.ask("GET", f"/api/v1{path}?limit=1000")[1]
        found: list[dict[str, Any]] = answer["items"]
        while answer["next_cursor"]:
            answer = self.ask("GET", f"/api/v1{path}?limit=1000&cursor={answer['next_cursor']}")[1]
            found += answer["items"]
        return found

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Send one request as admin; 0 while nobody listens."""
        token = self.state / "admin.token"
        headers = {"Content-Type": "application/json"}
        if token.exists():
            headers["Authorization"] = f"Bearer {token.read_text().strip()}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except ConnectionError:
            return 0, None
        finally:
            connection.close()

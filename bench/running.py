"""Processes that benches run: a daemon of its own, and the fake AWS it talks to."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from fake_aws import key_of

SPOTD = Path(sys.executable).with_name("spotd")
"""The program as `make setup` installs it."""
PATIENCE = 300.0
"""Seconds after which a daemon that does not come to a state is given up."""

CONFIG = """
state_dir = "{state}"
[api]
port = {port}
[aws]
endpoint_url = "{aws}"
[prices]
advisor_url = "{aws}/spot-advisor-data.json"
[log]
level = "warning"
"""


@contextmanager
def fake_aws(*, instances: int, delay: float = 0.0) -> Iterator[str]:
    """Run the fake AWS in a process of its own and yield its address."""
    script = Path(__file__).with_name("fake_aws.py")
    command = [sys.executable, str(script), "--instances", str(instances), "--delay", str(delay)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


class Daemon:
    """A `spotd run` of its own, with an empty state directory; ended and forgotten on leaving the block."""

    def __init__(self, aws: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spotd-bench-")
        self._state = Path(self._folder.name) / "state"
        self._config = Path(self._folder.name) / "config.toml"
        self._port = _free_port()
        self._config.write_text(CONFIG.format(state=self._state, port=self._port, aws=aws))
        identity = {"AWS_ACCESS_KEY_ID": key_of("000000000000"), "AWS_SECRET_ACCESS_KEY": "bench"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPOTD", "AWS_"))}
        self.environment = kept | identity | {"SPOTD_URL": f"http://127.0.0.1:{self._port}"}

    def __enter__(self) -> Self:
        command = [str(SPOTD), "run", "--config", str(self._config)]
        log = (Path(self._folder.name) / "log").open("wb")
        with log:
            self._process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    def is_ready(self) -> bool:
        """Tell whether the daemon takes work; from then on its admin token is at hand."""
        if self._ask("GET", "/readyz")[0] != http.HTTPStatus.OK:
            return False
        self.environment["SPOTD_TOKEN"] = (self._state / "admin.token").read_text().strip()
        return True

    def connect(self, account_id: str) -> None:
        """Connect an account by its access keys."""
        keys = {"access_key_id": key_of(account_id), "secret_access_key": "b" * 40}
        body = {"account_id": account_id, "name": f"bench-{account_id}", "connection_method": "access_keys", **keys}
        status, answer = self._ask("POST", "/connect", body)
        if status != http.HTTPStatus.OK:
            raise ConnectionError(f"POST /connect answered {status}: {answer}")

    def active(self) -> int:
        """Return how many accounts are active; an account that failed ends the bench."""
        accounts = self._ask("GET", "/api/v1/accounts?limit=1000")[1]["items"]
        if failed := [one for one in accounts if one["status"] == "failed"]:
            raise ValueError(f"discovery failed: {failed[0]}")
        return sum(one["status"] == "active" for one in accounts)

    def peak_mb(self) -> float:
        """Return the largest resident size the daemon ever had (Linux)."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:"))

    def wait(self, condition: Callable[[], bool]) -> None:
        """Return once a condition holds; the daemon's log tells why it never did."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (Path(self._folder.name) / "log").read_text(errors="replace")
                raise ChildProcessError(f"spotd (exit {self._process.poll()}) did not come so far:\n{log[-4000:]}")
            time.sleep(0.01)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Send one request; 0 while nobody listens."""
        headers = {
            "Authorization": f"Bearer {self.environment.get('SPOTD_TOKEN', '')}",
            "Content-Type": "application/json",
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except ConnectionError:
            return 0, None
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The simulator as a child process, for tests and the demo: `with running_simulator(seed=7) as sim: …`."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from typing import Any
from urllib.error import HTTPError

READY_WITHIN = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAccount:
    """One account: its user's keys, its role for the daemon, and a role that forgets the ExternalId."""

    account_id: str
    name: str
    index: int
    user_arn: str
    access_key_id: str
    secret_access_key: str
    role_arn: str
    external_id: str
    open_role_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedAws:
    """A running simulator. `daemon` is the account of the daemon's own identity, which the roles trust."""

    endpoint: str
    advisor_url: str
    queue_url: str
    regions: tuple[str, ...]
    enabled_regions: tuple[str, ...]
    daemon: SimulatedAccount
    accounts: tuple[SimulatedAccount, ...]
    pid: int

    def control(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """POST a body to `/_sim/<path>`, or GET it without one; ValueError carries a refusal's reason."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(  # noqa: S310 - the scheme is ours
            f"{self.endpoint}/_sim/{path.removeprefix('/_sim/')}",
            data=data,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the scheme is ours
                return json.load(answer)
        except HTTPError as error:
            with error:
                raise ValueError(error.read().decode()) from None

    def environment(self) -> dict[str, str]:
        """AWS's own variables with which a process reaches this simulator as the daemon's identity."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.daemon.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.daemon.secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def running_simulator(
    *,
    seed: int = 7,
    instances: int = 40,
    regions: Sequence[str] = ("us-east-1", "eu-west-1"),
    enabled: Sequence[str] | None = None,
    accounts: int = 2,
    data: Path | None = None,
    quiet: bool = True,
    extra: Sequence[str] = (),
) -> Iterator[SimulatedAws]:
    """Start a simulator, wait until it is ready, end it afterwards.

    `regions` hold the instances; `enabled` are further enabled regions (default: AWS's usual 17; `()` none).
    `quiet` means that nothing is interrupted by itself. `extra` are further command-line options of
    `python -m spotd.sim`.
    """
    with tempfile.TemporaryDirectory(prefix="spotd-sim-") as folder:
        state_file = Path(folder) / "state.json"
        command = [
            sys.executable, "-m", "spotd.sim", "--state-file", str(state_file), "--seed", str(seed),
            "--instances", str(instances), "--regions", ",".join(regions), "--accounts", str(accounts),
            "--watch-stdin", *(("--data", str(data)) if data is not None else ("--no-data",)),
            *(("--enabled", ",".join(enabled)) if enabled is not None else ()),
            *(("--interrupt-after", "0", "--rebalance-every", "0") if quiet else ()), *extra,
        ]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own module
            try:
                _wait_until_ready(process)
                yield _simulated(json.loads(state_file.read_text()), process.pid)
            finally:
                process.terminate()


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    ready, _, _ = select([process.stdout], [], [], READY_WITHIN)
    if not ready or not process.stdout.readline():
        raise RuntimeError("the simulated AWS did not start; its own output says why")


def _simulated(state: Mapping[str, Any], pid: int) -> SimulatedAws:
    return SimulatedAws(
        endpoint=state["endpoint"],
        advisor_url=state["advisor_url"],
        queue_url=state["queue_url"],
        regions=tuple(state["regions"]),
        enabled_regions=tuple(state["enabled_regions"]),
        daemon=SimulatedAccount(**state["daemon"]),
        accounts=tuple(SimulatedAccount(**account) for account in state["accounts"]),
        pid=pid,
    )

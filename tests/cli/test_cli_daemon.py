"""The real daemon, run by its command, and the commands that look after it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Command

STARTS_WITHIN = 30.0


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **more}


def until(condition: Callable[[], object], within: float) -> None:
    """Wait for another process to get somewhere."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(
        f"state_dir = '{tmp_path / 'state'}'\n[api]\nport = 0\n[aws]\nendpoint_url = 'http://127.0.0.1:9'\n"
        "[prices]\nadvisor_url = 'http://127.0.0.1:9/feed.json'\n"
    )
    return file


@pytest.fixture
def daemon(config: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`spotd run`, once it says that it serves."""
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            [sys.executable, "-m", "spotd", "run", "--config", str(config)],
            stdout=subprocess.PIPE, stderr=log, text=True, env=environment(),
        ) as process,
    ):  # fmt: skip
        assert process.stdout is not None
        try:
            assert "spotd serves http://127.0.0.1:" in process.stdout.readline(), (tmp_path / "log").read_text()
            yield process
        finally:
            process.kill()


def test_a_daemon_can_be_looked_after(daemon: subprocess.Popen[str], process: Command, config: Path) -> None:
    """It names the next command, answers its clients, takes a reload, refuses a second daemon, and stops."""
    assert daemon.stdout is not None
    assert "spotd accounts add" in daemon.stdout.readline()

    status = process("status", "--config", config, "-o", "json")
    assert status.code in (0, 5)
    assert len(status.json["components"]) == 11
    assert process("accounts", "list", "--config", config, "-o", "json").json["items"] == []
    assert process("token", "create", "x", "--scope", "read", "--config", config).out.startswith("spotd_")
    assert process("openapi", "--config", config).json["openapi"].startswith("3.1")

    second = process("run", "--config", config)
    assert second.code == 6
    assert str(daemon.pid) in second.err

    assert "nothing changed" in process("reload", "--config", config).out
    assert process("stop", "--config", config).code == 0
    assert daemon.wait(10) == 0
    assert process("status", "--config", config).code == 3


def test_a_backup_is_made_while_the_daemon_runs(
    daemon: subprocess.Popen[str], process: Command, config: Path, tmp_path: Path
) -> None:
    """A restore waits until it is stopped."""
    assert process("backup", tmp_path / "b.db", "--config", config).code == 0
    assert process("restore", tmp_path / "b.db", "--config", config).code == 6
    assert process("stop", "--config", config).code == 0
    assert process("restore", tmp_path / "b.db", "--config", config).code == 0


def test_ctrl_c_ends_it_well(daemon: subprocess.Popen[str]) -> None:
    """An interrupt is a wish to stop, not a failure."""
    daemon.send_signal(signal.SIGINT)

    assert daemon.wait(5) == 0


def test_what_keeps_it_from_starting_is_told(process: Command, config: Path) -> None:
    """An option that cannot work ends with 78, and so does one that is no option."""
    refused = process("run", "--config", config, "--set", "api.host=192.0.2.1")

    assert refused.code == 78, refused.err
    assert "allow_remote" in refused.err
    assert process("run", "--config", config, "--set", "api.prot=1").code == 78
    assert process("run", "--config", config, "--set", "nonsense").code == 2


class Demo:
    """A demo in a process group of its own, as a shell would run it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spotd", "demo", "--port", "0", "--state-dir", str(state)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True, env=environment(),
        )  # fmt: skip

    def wait_for(self, text: str) -> None:
        """Read what it prints until this text."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return
        pytest.fail(f"the demo ended without {text!r}")

    def simulator(self) -> int:
        """Return the simulator's process id."""
        listed = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        [child] = listed.split()
        return int(child)

    def end(self, number: signal.Signals) -> float:
        """Send a signal to all of it; return the seconds until its end."""
        started = time.monotonic()
        os.killpg(self._process.pid, number)
        self._process.wait(20)
        return time.monotonic() - started

    def close(self) -> None:
        """Leave nothing running."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    """Starts demos on one state directory, one after the other."""
    demos: list[Demo] = []

    def start() -> Demo:
        demos.append(Demo(tmp_path / "state"))
        return demos[-1]

    yield start
    for demo in demos:
        demo.close()


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.second_stage
def test_the_demo_onboards_both_accounts_and_survives_a_kill(started: Callable[[], Demo], process: Command) -> None:
    """Both accounts become active; after kill -9 the same state goes on; Ctrl-C ends everything in 5 s."""
    first = started()
    first.wait_for("/#token=spotd_")
    first.wait_for("in another terminal")
    simulator = first.simulator()
    first.end(signal.SIGKILL)
    until(lambda: not exists(simulator), 10)

    second = started()
    second.wait_for("active, ")
    simulator = second.simulator()
    url = f"unix:{second.state}/spotd.sock"
    listed = process("accounts", "list", "-o", "json", SPOTD_URL=url).json["items"]
    overview = json.loads(process("status", "-o", "json", SPOTD_URL=url).out)["overview"]

    assert {(account["status"], account["connection_method"]) for account in listed} == {
        ("active", "access_keys"),
        ("active", "iam_role"),
    }
    assert overview["counts"]["instances"] >= 200
    assert second.end(signal.SIGINT) <= 5
    assert not exists(simulator)

"""The unit is valid, tightly sandboxed, and says what the daemon relies on."""

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "/opt/spotd/.venv/bin/spotd"


@pytest.fixture(scope="session")
def unit(repository: Path) -> Path:
    return repository / "deploy" / "spotd.service"


@pytest.fixture(scope="session")
def analyze() -> str:
    """The program that checks units; a machine without it skips, CI does not."""
    program = shutil.which("systemd-analyze")
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("systemd-analyze is not installed")
    assert program is not None
    return program


def settings(unit: Path) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # the documented way to keep case
    parser.read(unit)
    return parser["Service"]


def test_systemd_finds_nothing_to_complain_about(analyze: str, unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify` is clean, with the program's path standing for an installed one."""
    installed = tmp_path / unit.name
    installed.write_text(unit.read_text().replace(PROGRAM, sys.executable))

    verified = subprocess.run([analyze, "verify", "--man=no", installed], check=False, capture_output=True, text=True)

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_the_sandbox_is_as_tight_as_a_network_daemon_can_have_it(analyze: str, unit: Path) -> None:
    """`systemd-analyze security` puts the exposure at 1.2 of 10 or less."""
    command = [analyze, "security", "--offline=true", "--threshold=12", "--no-pager", str(unit)]

    judged = subprocess.run(command, check=False, capture_output=True, text=True)

    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_unit_waits_for_readiness_and_watches(unit: Path) -> None:
    """The daemon says when it is ready and is restarted when it stalls, but not over a usage or config error."""
    service = settings(unit)

    assert service["Type"] == "notify"
    assert int(service["WatchdogSec"]) > 0
    assert set(service["RestartPreventExitStatus"].split()) == {"2", "78"}
    assert service["ExecStart"] == f"{PROGRAM} run --config /etc/spotd/config.toml"
    assert service["ExecReload"] == f"{PROGRAM} reload --config /etc/spotd/config.toml"

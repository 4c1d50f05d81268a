"""How commands start: what they load, and what they do with a broken line."""

import os
import pty
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotd.cli.transport import Address, Unreachable, exchange
from tests.cli.conftest import Command, FakeDaemon

REPORT = "atexit.register(lambda: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr))"
PAGE = {"items": [], "next_cursor": None}


def loaded_by(arguments: list[str], state_dir: Path) -> tuple[int, set[str]]:
    """Run a command line as a process; return its exit code and the packages it loaded."""
    script = f"import atexit, sys\nsys.argv = {['spotd', *arguments]!r}\n{REPORT}\nfrom spotd.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(state_dir)},
    )  # fmt: skip
    return done.returncode, set(done.stderr.split())


def test_status_loads_nothing_heavy(daemon: FakeDaemon, tmp_path: Path) -> None:
    """Neither click nor any library of the daemon: the command is meant to be polled."""
    daemon.answer("GET", "/health", {"status": "healthy", "components": {}})
    counts = {"accounts": 0, "instances": 0, "by_state": {}, "by_lifecycle": {}}
    overview = {"counts": counts, "cost_micros_per_hour": None, "cpu_percent": None, "ages": {}}
    daemon.answer("GET", "/overview", overview)

    code, loaded = loaded_by(["status"], tmp_path)

    assert code == 0
    assert not loaded & {
        "aiohttp", "aioboto3", "asyncio", "asyncpg", "botocore", "click", "cryptography", "dataclasses", "http",
        "msgspec", "pathlib", "ssl", "structlog", "tomllib",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["instances"], ["accounts", "list"], ["events", "list"], ["recommend", "list"], ["token", "list"]]
)
def test_client_commands_load_no_library_of_the_daemon(
    daemon: FakeDaemon, tmp_path: Path, arguments: list[str]
) -> None:
    """They start as quickly as click does."""
    for path in ("/instances", "/accounts", "/events", "/recommendations", "/tokens"):
        daemon.answer("GET", path, PAGE)

    code, loaded = loaded_by(arguments, tmp_path)

    assert code == 0
    assert "click" in loaded
    assert not loaded & {"aiohttp", "aioboto3", "asyncpg", "botocore", "cryptography", "http", "msgspec", "structlog"}


def test_help_loads_no_command(command: Command) -> None:
    """Every command is named without loading its module."""
    ran = command("--help")

    assert ran.code == 0
    for name in ("run", "demo", "doctor", "accounts", "recommend", "completion"):
        assert f"  {name} " in ran.out


@pytest.mark.parametrize("group", ["config", "keys", "token", "accounts", "events", "recommend", "doctor"])
def test_every_group_explains_itself(command: Command, group: str) -> None:
    """Help works for each group, so each module loads."""
    ran = command(group, "--help")

    assert ran.code == 0
    assert "Commands:" in ran.out


@pytest.mark.parametrize("arguments", [["nothing"], ["accounts", "show"], ["token", "create", "x", "--scope", "all"]])
def test_a_wrong_command_line_ends_with_2(command: Command, arguments: list[str]) -> None:
    """Usage errors have a code of their own and say what is wrong."""
    ran = command(*arguments)

    assert ran.code == 2
    assert "Error:" in ran.err


def test_a_terminal_gets_a_table_in_colour(daemon: FakeDaemon, tmp_path: Path) -> None:
    """On a terminal columns are aligned; NO_COLOR takes the colour away."""
    items = [
        {"id": number, "account_id": "123456789012", "name": "n" * number, "status": "active"} for number in (1, 9)
    ]
    daemon.answer("GET", "/accounts", {"items": items, "next_cursor": None})

    coloured, plain = (on_terminal(["accounts", "list"], tmp_path, environ) for environ in ({}, {"NO_COLOR": "1"}))

    assert "\x1b[32mactive\x1b[0m" in coloured
    assert "\x1b" not in plain
    rows = plain.splitlines()
    assert rows[1].index("active") == rows[2].index("active") == rows[0].index("STATUS")


def on_terminal(arguments: list[str], state_dir: Path, environ: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-m", "spotd", *arguments], stdout=theirs, check=True,
            env={"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(state_dir), **environ},
        )  # fmt: skip
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_reader_that_has_seen_enough_is_no_error(daemon: FakeDaemon, tmp_path: Path) -> None:
    """`spotd instances | head -1` ends quietly."""
    item = {"instance_id": "i-0", "tags": {"Name": "x" * 100}}
    daemon.answer("GET", "/instances", {"items": [item] * 5000, "next_cursor": None})
    command = f"{sys.executable} -m spotd instances | head -1"
    environ = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": str(tmp_path)}

    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, env=environ)

    assert done.stdout.startswith("INSTANCE\t")
    assert done.stderr == ""


@pytest.mark.parametrize("url", ["", "ftp://x", "unix:", "http://", "http://user:secret@host", "localhost:8680"])
def test_an_address_that_is_none_is_refused(process: Command, url: str) -> None:
    """The error shows the forms there are."""
    with pytest.raises(ValueError, match="unix:PATH"):
        Address(url)
    if url:
        assert process("accounts", "list", SPOTD_URL=url).code == 2


@pytest.mark.parametrize(
    ("authority", "path"), [("unix:{socket}", ""), ("http://127.0.0.1:{port}", ""), ("http://127.0.0.1:{port}/", "")]
)
def test_each_kind_of_address_is_reached(daemon: FakeDaemon, authority: str, path: str) -> None:
    """A unix socket and TCP answer alike."""
    daemon.answer("GET", "/x", PAGE)

    answer = exchange(Address(authority.format(socket=daemon.socket, port=daemon.port)), "GET", "/api/v1/x", headers={})

    assert (answer.status, answer.headers["content-type"].split(";")[0]) == (200, "application/json")


def test_a_header_cannot_smuggle_a_second_one(daemon: FakeDaemon) -> None:
    """A token with a line break is refused before anything is sent."""
    with pytest.raises(ValueError, match="line break"):
        exchange(Address(f"unix:{daemon.socket}"), "GET", "/x", headers={"Authorization": "Bearer a\r\nX: y"})

    assert daemon.requests == []


@pytest.fixture
def odd_server(request: pytest.FixtureRequest) -> Iterator[int]:
    """A server that answers every request with the parameter's bytes and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(request.param)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    thread.join(10)
    listener.close()


@pytest.mark.parametrize(
    ("odd_server", "why"),
    [
        (b"", "closed unanswered"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n{}", "in the middle of the answer"),
    ],
    indirect=["odd_server"],
)
def test_an_odd_server_is_told_as_such(odd_server: int, why: str) -> None:
    """What answers is no daemon, or stopped in the middle."""
    with pytest.raises(Unreachable, match=why):
        exchange(Address(f"http://127.0.0.1:{odd_server}"), "GET", "/", headers={})


def test_a_socket_in_a_deep_directory_is_reached(tmp_path: Path) -> None:
    """Its path may be longer than a socket's address can be."""
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    directory = os.open(deep, os.O_PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{directory}/spotd.sock")
        os.close(directory)
        listener.listen()

        with Address(f"unix:{deep}/spotd.sock").connect(timeout=5) as connection:
            assert connection.fileno() > 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script(command: Command, shell: str) -> None:
    """Each shell gets its own."""
    ran = command("completion", shell)

    assert ran.code == 0
    assert "_SPOTD_COMPLETE" in ran.out


def test_version(command: Command) -> None:
    """Alone for a person, with Python's as JSON."""
    assert command("version").out.count(".") == 2
    assert command("version", "-o", "json").json.keys() == {"spotd", "python"}

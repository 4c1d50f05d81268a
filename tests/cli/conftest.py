"""A daemon that answers what a test wants, so that client commands meet a real server."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from spotd.cli.root import run


@dataclass
class FakeDaemon:
    """Answers by (method, path with query); keeps what it was asked."""

    socket: Path
    config: Path
    port: int = 0
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    stream: list[bytes] = field(default_factory=list)

    def answer(self, method: str, path: str, document: Any, status: int = 200) -> None:
        """Answer this request with this document from now on."""
        self.answers[method, f"/api/v1{path}"] = (status, document)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one request."""
        body = await request.read()
        self.requests.append(
            (request.method, request.path_qs.removeprefix("/api/v1"), json.loads(body) if body else None)
        )
        self.headers.append(dict(request.headers))
        if request.path.endswith("/stream/sse"):
            return await self._stream(request)
        found = self.answers.get((request.method, request.path_qs)) or self.answers.get((request.method, request.path))
        status, document = found or (
            404,
            {"title": "Not Found", "detail": "there is no such thing", "code": "not_found"},
        )
        return web.Response(status=status) if document is None else web.json_response(document, status=status)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in self.stream:
            await response.write(part)
        return response


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A fake daemon at a socket that a configuration file names, and at a TCP port."""
    config = tmp_path / "config.toml"
    config.write_text(f"state_dir = '{tmp_path}'\n")
    fake = FakeDaemon(socket=tmp_path / "spotd.sock", config=config)
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", fake.handle)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.UnixSite(runner, str(fake.socket)).start()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        fake.port = runner.addresses[-1][1]
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    yield fake
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@dataclass
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line in this process."""

    def execute(*arguments: str | Path) -> Ran:
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return execute


@pytest.fixture
def ask(command: Command, daemon: FakeDaemon) -> Command:
    """Run a client command against the fake daemon."""

    def execute(*arguments: str | Path) -> Ran:
        return command(*arguments, "--config", daemon.config)

    return execute


@pytest.fixture
def process() -> Command:
    """Run a command line as a process of its own, with only this environment beside PATH and HOME."""

    def execute(*arguments: str | Path, stdin: str = "", timeout: float = 60, **environ: str) -> Ran:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "spotd", *map(str, arguments)],
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False, env={**kept, **environ},
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    return execute

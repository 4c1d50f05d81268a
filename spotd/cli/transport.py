"""One HTTP exchange over a unix socket or TCP.

HTTP/1.0 asks for exactly what is needed: one answer, not chunked, then the connection closes. It spares a command the
loading of http.client (with its e-mail parser and ssl), which takes longer than a whole `spotd status`.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

LINE_LIMIT = 64 * 1024


class Unreachable(Exception):
    """Nothing answers at this address."""


class Answer:
    """A status, headers by lower-case name, and the body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Address:
    """Where a daemon listens: `unix:PATH`, `http://HOST[:PORT]` or `https://HOST[:PORT]`."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition(":")
        self.url = url
        self.tls = scheme == "https"
        self.path = rest if scheme == "unix" else None
        self.authority = rest.lstrip("/").partition("/")[0] if self.path is None else "localhost"
        named = self.authority if self.path is None else self.path
        if scheme not in ("unix", "http", "https") or not named or "@" in self.authority:
            # The text itself is left out: somebody may have put a password into it.
            raise ValueError("an address is unix:PATH, http://HOST:PORT or https://HOST:PORT")

    def connect(self, timeout: float) -> socket.socket:
        """Open a connection; raises Unreachable."""
        try:
            return self._connect_tcp(timeout) if self.path is None else _connect_unix(self.path, timeout)
        except (OSError, ValueError) as error:
            raise Unreachable(str(error)) from error

    def _connect_tcp(self, timeout: float) -> socket.socket:
        host, port = _host_and_port(self.authority, 443 if self.tls else 80)
        connection = socket.create_connection((host, port), timeout)
        if not self.tls:
            return connection
        import ssl

        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _connect_unix(path: str, timeout: float) -> socket.socket:
    """Connect through the directory's descriptor: a socket's path may be longer than its address can be."""
    directory = os.open(os.path.dirname(path) or ".", os.O_PATH | os.O_DIRECTORY)  # noqa: PTH120 - pathlib loads longer
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")  # noqa: PTH119
    except OSError:
        connection.close()
        raise
    finally:
        os.close(directory)
    return connection


def exchange(
    address: Address,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    timeout: float = 60.0,
) -> Answer:
    """Send one request and return the whole answer; raises Unreachable, also for an answer that was cut."""
    with stream(address, method, target, headers=headers, body=body, timeout=timeout) as (status, received, lines):
        content = b"".join(lines)
    if len(content) < int(received.get("content-length", 0)):
        raise Unreachable("the connection broke in the middle of the answer")
    return Answer(status, received, content)


@contextmanager
def stream(
    address: Address,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str],
    body: bytes = b"",
    timeout: float = 60.0,
) -> Iterator[tuple[int, Mapping[str, str], Iterator[bytes]]]:
    """Send one request; give status, headers, and the body line by line as it comes. Raises Unreachable."""
    request = _request(address, method, target, headers, body)
    with address.connect(timeout) as connection, connection.makefile("rb") as incoming:
        try:
            connection.sendall(request)
        except OSError as error:
            raise Unreachable(str(error)) from error
        lines = _lines(incoming)
        status = _status(next(lines, b""))
        yield status, dict(_headers(lines)), lines


def _lines(incoming: BinaryIO) -> Iterator[bytes]:
    """Yield lines, or parts of very long ones."""
    while True:
        try:
            line = incoming.readline(LINE_LIMIT)
        except OSError as error:
            raise Unreachable(str(error)) from error
        if not line:
            return
        yield line


def _request(address: Address, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.0", f"Host: {address.authority}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header or path may not hold a line break")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _status(line: bytes) -> int:
    parts = line.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():  # noqa: PLR2004 - version, status
        raise Unreachable("what answers there does not speak HTTP" if line else "the connection was closed unanswered")
    return int(parts[1])


def _headers(lines: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            return
        yield name.strip().lower(), value.strip()


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    """Take `host`, `host:port`, `[v6]` or `[v6]:port` apart; raises ValueError."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = authority, str(default)
    return host.strip("[]"), int(port)

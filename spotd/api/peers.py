"""The local socket's peers, told by the kernel."""

import os
import socket
import struct

from aiohttp import web

CREDENTIALS = struct.Struct("3i")
"""`struct ucred`: pid, uid, gid; see unix(7)."""


def over_socket(request: web.Request) -> bool:
    """Whether the request came over the local socket."""
    return _socket_of(request) is not None


def same_user(request: web.Request) -> bool:
    """Whether the request came over the local socket from a process of the daemon's own user."""
    peer = _socket_of(request)
    if peer is None:
        return False
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    _, uid, _ = CREDENTIALS.unpack(raw)
    return bool(uid == os.geteuid())


def address(request: web.Request) -> str:
    """Return what a limit of failed tokens is counted by."""
    return request.remote or "local"


def _socket_of(request: web.Request) -> socket.socket | None:
    sock: socket.socket | None = request.get_extra_info("socket")
    return sock if sock is not None and sock.family == socket.AF_UNIX else None

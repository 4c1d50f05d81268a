"""Tell systemd how the daemon does: ready, reloading, stopping, and alive only while every loop's pulse is fresh."""

import os
import socket
from collections.abc import Callable, Mapping, Sequence

import structlog

log = structlog.get_logger(__name__)


class Notifier:
    """Speaks `sd_notify(3)`; silent where no service manager listens."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1e6

    def send(self, **fields: object) -> bool:
        """Send one datagram of `NAME=value` lines; return whether a service manager took it."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{name}={value}" for name, value in fields.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(address)
                channel.sendall(message.encode())
        except OSError as error:
            log.warning("systemd.notify_failed", error=str(error))
            return False
        return True


class Watchdog:
    """Feeds systemd's watchdog while no loop is overdue."""

    def __init__(self, notifier: Notifier, overdue: Callable[[], Sequence[str]]) -> None:
        self._notifier = notifier
        self._overdue = overdue

    async def tick(self) -> bool:
        """Feed the watchdog once, unless a loop is stuck; return whether it was fed."""
        if stuck := self._overdue():
            log.error("watchdog.not_fed", overdue=list(stuck))
            return False
        return self._notifier.send(WATCHDOG=1)

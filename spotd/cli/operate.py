"""Looking after a running daemon: `status`, `health`, `reload`, `stop`."""

import os
import select
import signal
import socket
import struct

import click

from spotd.cli import status as status_view
from spotd.cli.client import Client
from spotd.cli.failures import DEGRADED, UNREACHABLE, USAGE, Failure
from spotd.cli.options import client_command, output_format
from spotd.cli.output import Column, show_json, show_listing, yes_no
from spotd.cli.transport import Unreachable

HEALTH: list[Column] = [
    ("component", "name"),
    ("status", "status"),
    ("enabled", "enabled", yes_no),
    ("since", "since"),
    ("checked", "checked_at"),
    ("details", "details"),
]


@click.command()
@client_command
@output_format
def status(client: Client, form: str | None) -> int:
    """Show the daemon in one look; exit 5 unless everything is healthy."""
    return status_view.show_status(client, form)


@click.command()
@client_command
@output_format
@click.option("--check", is_flag=True, help="Run all checks now first.")
def health(client: Client, form: str | None, check: bool) -> int:
    """Show every component's health; exit 5 unless everything is healthy."""
    document = client.post("/health/check") if check else client.get("/health")
    if form == "json":
        show_json(document)
    else:
        items = [{"name": name, **component} for name, component in document["components"].items()]
        show_listing({"items": items, "next_cursor": None}, HEALTH, form)
    return 0 if document["status"] == "healthy" else DEGRADED


@click.command()
@client_command
@output_format
def reload(client: Client, form: str | None) -> None:
    """Make the daemon read its configuration anew; a bad one is refused and the old one kept."""
    result = client.post("/reload")
    if form == "json":
        show_json(result)
    elif result.get("changed"):
        print(f"reloaded; changed: {', '.join(result['changed'])}")
    else:
        print("nothing changed")


@click.command()
@client_command
@click.option("--wait", default=30.0, show_default=True, help="Seconds to wait for its end.")
def stop(client: Client, wait: float) -> None:
    """Stop the daemon on this machine and wait until it has ended."""
    pid = _daemon_pid(client)
    # The descriptor is taken first: it stays this process's even if the number is given to another one.
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ended, _, _ = select.select([descriptor], [], [], wait)
    except PermissionError:
        raise Failure(f"the daemon (process {pid}) runs as another user", fix="use sudo, or systemctl stop") from None
    finally:
        os.close(descriptor)
    if not ended:
        raise Failure(f"the daemon (process {pid}) still runs after {wait:g} s", fix="its log says what it waits for")
    print(f"stopped (process {pid})")


def _daemon_pid(client: Client) -> int:
    """Return the id of the process that listens on the socket, as the kernel tells it."""
    if client.address.path is None:
        raise Failure(
            "only a daemon on this machine can be stopped",
            why=f"{client.address.url} is no unix socket",
            fix="unset SPOTD_URL, or stop it where it runs",
            code=USAGE,
        )
    try:
        with client.address.connect(timeout=5) as connection:
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except Unreachable as error:
        raise Failure(f"no daemon answers at {client.address.url}", why=str(error), code=UNREACHABLE) from None
    return int(struct.unpack("3i", credentials)[0])

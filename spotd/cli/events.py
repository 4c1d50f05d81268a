"""`spotd events`: the inbox, the quarantine, and reading events from files without a daemon."""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from spotd.cli.client import Client
from spotd.cli.failures import UNREACHABLE, Failure
from spotd.cli.listings import Paging, list_resource, listing
from spotd.cli.options import client_command, output_format
from spotd.cli.output import Column, joined, show_listing

COLUMNS: list[Column] = [
    ("received", "received_at"),
    ("kind", "kind"),
    ("outcome", "outcome"),
    ("account", "account_id"),
    ("region", "region"),
    ("instances", "instance_ids", joined),
    ("key", "key"),
]
QUARANTINE: list[Column] = [
    ("id", "id"),
    ("received", "received_at"),
    ("times", "times"),
    ("kind", "kind"),
    ("reason", "reason"),
    ("source", "source"),
]
PARSED: list[Column] = [
    ("file", "file"),
    ("outcome", "outcome"),
    ("kind", "kind"),
    ("instances", "instance_ids", joined),
    ("reason", "reason"),
]
REMEMBERED = 1000


@click.group()
def events() -> None:
    """Look at AWS's events, or read some without a daemon."""


@events.command("list")
@client_command
@listing
@click.option("--kind", help="interruption, rebalance, state_change …")
@click.option("--account", "account_id", help="12-digit account id, or the account's number.")
def list_(client: Client, paging: Paging, **filters: Any) -> None:
    """List the inbox, newest first."""
    list_resource(client, "/events", filters, COLUMNS, paging)


@events.command()
@client_command
@listing
def quarantine(client: Client, paging: Paging) -> None:
    """List messages that nobody understood, with the reason."""
    list_resource(client, "/quarantine", {}, QUARANTINE, paging)


@events.command()
@client_command
@click.option("-o", "--output", "form", type=click.Choice(["table", "json"]), help="json prints one event a line.")
@click.option("--kind", help="Only this kind.")
def tail(client: Client, form: str | None, kind: str | None) -> None:
    """Show the latest events and then each new one as it arrives, until Ctrl-C or the daemon's end."""
    seen: dict[str, None] = {}
    with client.lines("/stream/sse") as lines:
        for _ in _occasions(lines):
            page = client.get("/events", {"kind": kind, "limit": 100})
            fresh = [event for event in reversed(page["items"]) if event["key"] not in seen]
            seen |= dict.fromkeys(event["key"] for event in fresh)
            for old in list(seen)[:-REMEMBERED]:
                del seen[old]
            _print_events(fresh, form)
    raise Failure("the daemon ended the stream", code=UNREACHABLE)


def _occasions(lines: Iterable[str]) -> Iterator[None]:
    """Yield at the start, after a gap, and whenever events were received (server-sent events, HTML standard 9.2)."""
    for line in lines:
        if not line.startswith("data: "):
            continue
        message = json.loads(line.removeprefix("data: "))
        if message.get("type") != "changed" or str(message.get("topic", "")).startswith("events"):
            yield


def _print_events(events: Iterable[Mapping[str, Any]], form: str | None) -> None:
    for event in events:
        line = f"{event['received_at']}  {event['kind']:<14} {event['outcome']:<11} {joined(event['instance_ids'])}"
        print(json.dumps(event, ensure_ascii=False) if form == "json" else line, flush=True)


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
    """Read an RFC 3339 time."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise click.BadParameter(f"{text!r} is no RFC 3339 time such as 2026-11-23T21:00:00Z") from None
    if moment is not None and moment.tzinfo is None:
        raise click.BadParameter(f"{text!r} lacks its zone, such as Z")
    return moment


@events.command()
@output_format
@click.option("--now", callback=_moment, help="Judge ages as of this time (RFC 3339).")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def parse(files: tuple[Path, ...], form: str | None, now: datetime | None) -> None:
    """Read events from FILES as the daemon would; needs no daemon. Each file holds one event or an array."""
    from spotd.aws.events import parse as parse_events

    items = [
        {
            "file": str(file),
            "key": verdict.key,
            "outcome": verdict.outcome.value,
            "kind": verdict.kind,
            "instance_ids": list(verdict.instance_ids),
            "reason": verdict.reason,
        }
        for file in files
        for verdict in parse_events(read_file(file), now=now)
    ]
    show_listing({"items": items, "next_cursor": None}, PARSED, form)


def read_file(file: Path) -> bytes:
    """Read a file a command was given; raises Failure."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"{file} cannot be read", why=str(error)) from None

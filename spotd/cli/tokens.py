"""`spotd token`: who may ask the API for what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from spotd.cli.client import Client
from spotd.cli.listings import Paging, list_resource, listing
from spotd.cli.options import client_command, output_format
from spotd.cli.output import Column, joined, show_record

SCOPES = ["read", "events", "approve", "execute", "accounts", "admin"]
COLUMNS: list[Column] = [
    ("id", "id"),
    ("name", "name"),
    ("scopes", "scopes", joined),
    ("account", "account_id"),
    ("created", "created_at"),
    ("expires", "expires_at"),
]


@click.group()
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command()
@client_command
@output_format
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="Repeat for several.")
@click.option("--account", "account_id", help="Limit it to one account (12 digits).")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires. Default: never.")
def create(client: Client, form: str | None, name: str, days: int | None, **limits: Any) -> None:
    """Create a token. Its secret is printed this once."""
    body = {"name": name} | {option: value for option, value in limits.items() if value}
    if days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    made = client.post("/tokens", body)
    if form is None:
        print(made["token"])
    else:
        show_record(made, form)


@token.command("list")
@client_command
@listing
def list_(client: Client, paging: Paging) -> None:
    """List tokens, without their secrets."""
    list_resource(client, "/tokens", {}, COLUMNS, paging)


@token.command()
@client_command
@click.argument("number", type=int, metavar="ID")
def revoke(client: Client, number: int) -> None:
    """Revoke a token at once."""
    client.delete(f"/tokens/{number}")
    print(f"token {number} is revoked")

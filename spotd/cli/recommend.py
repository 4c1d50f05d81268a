"""`spotd recommend`: what would move to Spot, what would not, and why."""

from collections.abc import Mapping
from typing import Any

import click

from spotd.cli.client import Client
from spotd.cli.listings import Paging, list_resource, listing
from spotd.cli.options import client_command, output_format
from spotd.cli.output import Column, joined, money, show_record


def _place(placement: Mapping[str, Any] | None) -> str:
    if placement is None:
        return ""
    zone = placement.get("availability_zone") or "any zone"
    return f"{placement['instance_type']} {placement['lifecycle']} in {zone}"


PRICES = ("on_demand_price", "spot_price")
"""Rules whose value is in micro-dollars."""

COLUMNS: list[Column] = [
    ("id", "id"),
    ("verdict", "verdict"),
    ("kind", "kind"),
    ("account", "account_id"),
    ("instances", "instance_ids", joined),
    ("from", "from", _place),
    ("to", "to", _place),
    ("saves/month", "saving_micros_per_month", money),
    ("expires", "expires_at"),
]


@click.group()
def recommend() -> None:
    """List and explain recommendations and refusals."""


@recommend.command("list")
@client_command
@listing
@click.option("--account", "account_id", help="12-digit account id, or the account's number.")
@click.option("--verdict", type=click.Choice(["recommended", "refused"]))
@click.option("--state", type=click.Choice(["open", "superseded", "expired"]))
def list_(client: Client, paging: Paging, **filters: Any) -> None:
    """List recommendations, and refusals with their reasons in JSON."""
    list_resource(client, "/recommendations", filters, COLUMNS, paging)


@recommend.command()
@client_command
@output_format
@click.argument("number", type=int, metavar="ID")
def show(client: Client, form: str | None, number: int) -> None:
    """Show one recommendation with everything it rests on."""
    show_record(client.get(f"/recommendations/{number}"), form)


@recommend.command()
@client_command
@click.argument("number", type=int, metavar="ID")
def explain(client: Client, number: int) -> None:
    """Say in sentences why something is recommended or refused."""
    found = client.get(f"/recommendations/{number}")
    print(f"{found['verdict']}: {joined(found['instance_ids'])} ({found['kind']}), account {found['account_id']}")
    print(f"  now:    {_priced(found['from'])}")
    if found["to"] is not None:
        print(f"  better: {_priced(found['to'])}")
    if found["saving_micros_per_month"] is not None:
        print(f"  saves:  {money(found['saving_micros_per_month'])} a month, gross")
    for reason in found["reasons"]:
        print(f"  - {_sentence(reason)}")


def _priced(placement: Mapping[str, Any]) -> str:
    micros = placement.get("micros_per_hour")
    return _place(placement) + (f" at {money(micros)} an hour" if micros is not None else "")


def _sentence(reason: Mapping[str, Any]) -> str:
    limit = f" (limit {reason['threshold']})" if reason["threshold"] is not None else ""
    age = f", {reason['age_seconds']:.0f} s old" if reason["age_seconds"] is not None else ""
    value = money(reason["value"]) if reason["rule"] in PRICES else reason["value"]
    return f"{reason['rule'].replace('_', ' ')}: {value}{limit}, from {reason['source']}{age}"

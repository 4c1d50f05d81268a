"""Listing what there is and what it costs: `instances`, `prices`."""

from typing import Any

import click

from spotd.cli.client import Client
from spotd.cli.listings import Paging, list_resource, listing
from spotd.cli.options import client_command
from spotd.cli.output import Column, money, yes_no

STATES = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
LIFECYCLES = ("on-demand", "spot", "scheduled", "capacity-block")
"""As in `spotd.model.instance`, without the time it takes to load."""

INSTANCES: list[Column] = [
    ("instance", "instance_id"),
    ("account", "account_id"),
    ("zone", "availability_zone"),
    ("type", "instance_type"),
    ("lifecycle", "lifecycle"),
    ("state", "state"),
    ("managed", "managed", yes_no),
    ("group", "asg_name"),
    ("cluster", "cluster"),
    ("name", "tags.Name"),
]
PRICES: list[Column] = [
    ("region", "region"),
    ("zone", "az"),
    ("type", "instance_type"),
    ("product", "product"),
    ("spot/h", "spot_micros", money),
    ("on-demand/h", "on_demand_micros", money),
    ("source", "source"),
    ("observed", "observed_at"),
]


@click.command()
@client_command
@listing
@click.option("--account", "account_id", help="12-digit account id, or the account's number.")
@click.option("--region")
@click.option("--state", type=click.Choice(STATES))
@click.option("--lifecycle", type=click.Choice(LIFECYCLES))
@click.option("--type", "instance_type")
@click.option("--tag", multiple=True, metavar="KEY[=VALUE]", help="Repeat it for instances that have all of them.")
def instances(client: Client, paging: Paging, **filters: Any) -> None:
    """List instances."""
    list_resource(client, "/instances", filters, INSTANCES, paging)


@click.command()
@client_command
@listing
@click.option("--region")
@click.option("--az", help="Availability zone.")
@click.option("--type", "instance_type")
@click.option("--product", help="For example Linux/UNIX.")
def prices(client: Client, paging: Paging, **filters: Any) -> None:
    """List prices per hour."""
    list_resource(client, "/prices", filters, PRICES, paging)

"""`spotd accounts`: onboard AWS accounts and look after them."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from spotd.cli.client import Client
from spotd.cli.failures import FAILED, USAGE, Failure
from spotd.cli.listings import Paging, list_resource, listing
from spotd.cli.options import Command, client_command, output_format
from spotd.cli.output import Column, joined, show_json, show_record

COLUMNS: list[Column] = [
    ("id", "id"),
    ("account", "account_id"),
    ("name", "name"),
    ("status", "status"),
    ("method", "connection_method"),
    ("regions", "regions", lambda regions: joined(regions) or "all enabled"),
    ("updated", "updated_at"),
]
SECRET_VARIABLE = "SPOTD_CONNECT_SECRET_ACCESS_KEY"  # noqa: S105 - a variable's name

account_argument = click.argument("account", metavar="ACCOUNT")


@click.group()
def accounts() -> None:
    """Onboard AWS accounts and look after them. ACCOUNT is the 12-digit id or the account's number."""


@accounts.command("list")
@client_command
@listing
def list_(client: Client, paging: Paging) -> None:
    """List accounts."""
    list_resource(client, "/accounts", {}, COLUMNS, paging)


@accounts.command()
@client_command
@output_format
@account_argument
def show(client: Client, form: str | None, account: str) -> None:
    """Show one account with its conditions."""
    show_record(client.get(f"/accounts/{account}"), form)


@accounts.command()
@client_command
@output_format
@click.argument("account_id")
@click.option("--name", required=True, help="How you call it.")
@click.option("--region", "regions", multiple=True, help="Look only at these regions. Default: every enabled one.")
def add(client: Client, form: str | None, account_id: str, name: str, regions: tuple[str, ...]) -> None:
    """Add an account that will be reached through a role, and get the ExternalId its role must demand."""
    made = client.post("/accounts", {"account_id": account_id, "name": name, "regions": list(regions)})
    if form == "json":
        show_json(made)
        return
    print(f"account {account_id} is pending; its ExternalId is {made['external_id']}")
    print("next, create the role from this template and connect it:")
    print(f"  spotd accounts policy {account_id} --format cloudformation > spotd-role.yaml")
    print(f"  spotd accounts connect {account_id} --role-arn ARN")


@accounts.command()
@client_command
@account_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "cloudformation", "terraform"]),
    default="json",
    show_default=True,
    help="As IAM documents or as a template that makes the role.",
)
def policy(client: Client, account: str, form: str) -> None:
    """Print the trust and permission policy of an account's role."""
    documents = client.get(f"/accounts/{account}/policies")
    if form == "json":
        show_json({"trust": documents["trust"], "permissions": documents["permissions"]})
    else:
        print(documents[form])


@accounts.command()
@client_command
@output_format
@account_argument
def verify(client: Client, form: str | None, account: str) -> int:
    """Prove an account's credentials again; exit 1 if AWS does not take them."""
    result = client.post(f"/accounts/{account}/verify")
    show_record(result, form)
    return 0 if result["valid"] else FAILED


def credentials(command: Command) -> Command:
    """Give a command the options that name credentials; a secret never stands on a command line."""
    for option in (
        click.option("--secret-file", type=click.Path(path_type=Path, exists=True), help="File with the secret key."),
        click.option(
            "--access-key-id", help="An access key; the secret comes from a file, a variable or standard input."
        ),
        click.option("--role-arn", help="The role to assume."),
    ):
        command = option(command)
    return command


@accounts.command()
@client_command
@click.argument("account_id")
@click.option("--name", help="How you call it. Default with access keys: its id.")
@click.option("--region", "regions", multiple=True, help="Look only at these regions. Default: every enabled one.")
@credentials
def connect(client: Client, account_id: str, name: str | None, regions: tuple[str, ...], **given: Any) -> None:
    """Connect an account; its discovery starts at once."""
    body = {"account_id": account_id, **_credentials(**given)}
    if given["role_arn"] is None:
        body |= {"name": name or account_id, "regions": list(regions)}
    client.post("/connect", body)
    print(f"account {account_id} is connected; discovery runs: spotd accounts show {account_id}")


@accounts.command()
@client_command
@account_argument
@credentials
def reconnect(client: Client, account: str, **given: Any) -> None:
    """Give an account new credentials; a failed one is connected again, any other keeps its status."""
    found, body = client.get(f"/accounts/{account}"), _credentials(**given)
    if found["status"] in ("pending", "failed"):
        body |= {"account_id": found["account_id"]}
        if given["role_arn"] is None:
            body |= {"name": found["name"], "regions": found["regions"]}
        client.post("/connect", body)
    else:
        client.put(f"/accounts/{account}/credentials", body)
    print(f"account {found['account_id']} uses the new credentials")


@accounts.command()
@client_command
@account_argument
def discover(client: Client, account: str) -> None:
    """Scan an account again now; its status stays."""
    client.post(f"/accounts/{account}/discover")
    print("the scan has started")


@accounts.command()
@client_command
@account_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(client: Client, account: str, yes: bool) -> None:
    """Disconnect an account and delete everything known of it; AWS itself is not touched."""
    if not yes and not sys.stdin.isatty():
        raise Failure("removing needs a yes", why="there is no terminal to ask on", fix="add --yes", code=USAGE)
    if not yes:
        click.confirm(f"Delete everything spotd knows of account {account}?", abort=True)
    client.delete(f"/accounts/{account}")
    print(f"account {account} is removed")


def _credentials(role_arn: str | None, access_key_id: str | None, secret_file: Path | None) -> dict[str, Any]:
    """Return the body's part that says how to connect; raises Failure unless it is exactly one way."""
    if (role_arn is None) == (access_key_id is None):
        raise Failure("name either --role-arn or --access-key-id", code=USAGE)
    if role_arn is not None:
        return {"connection_method": "iam_role", "role_arn": role_arn}
    return {
        "connection_method": "access_keys",
        "access_key_id": access_key_id,
        "secret_access_key": _secret(secret_file),
    }


def _secret(file: Path | None) -> str:
    """Read a secret key: from the file, the environment, a prompt without echo, or standard input."""
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if given := os.environ.get(SECRET_VARIABLE):
        return given
    if sys.stdin.isatty():
        return str(click.prompt("Secret access key", hide_input=True))
    if piped := sys.stdin.readline().strip():
        return piped
    raise Failure(
        "the secret access key is missing",
        fix=f"name --secret-file, set {SECRET_VARIABLE}, or write it to standard input",
        code=USAGE,
    )

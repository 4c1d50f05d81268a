"""Reading a listing of the API and printing it."""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

import click

from spotd.cli.client import Client
from spotd.cli.options import output_format
from spotd.cli.output import Column, show_listing

LARGEST_PAGE = 1000


class Paging(NamedTuple):
    """Which part of a listing is wanted, and in which form."""

    form: str | None
    limit: int
    cursor: str | None
    every: bool


def listing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a listing as its argument `paging`."""

    @output_format
    @click.option("--limit", type=click.IntRange(1, LARGEST_PAGE), default=100, show_default=True, help="Most rows.")
    @click.option("--cursor", help="Where to go on: the page before named it as next_cursor.")
    @click.option("--all", "every", is_flag=True, help="Follow the pages to the end.")
    @wraps(command)
    def with_paging(form: str | None, limit: int, cursor: str | None, every: bool, **arguments: Any) -> Any:
        return command(paging=Paging(form, limit, cursor, every), **arguments)

    return with_paging


def list_resource(
    client: Client, path: str, query: Mapping[str, Any], columns: Sequence[Column], paging: Paging
) -> None:
    """Print one page, or all of them; a person is told when there is more."""
    page = _read(client, path, query, paging)
    show_listing(page, columns, paging.form)
    if page["next_cursor"] and paging.form is None and sys.stdout.isatty():
        print("… there is more: --all shows everything", file=sys.stderr)


def _read(client: Client, path: str, query: Mapping[str, Any], paging: Paging) -> Mapping[str, Any]:
    if not paging.every:
        page: Mapping[str, Any] = client.get(path, {**query, "limit": paging.limit, "cursor": paging.cursor})
        return page
    pages = client.pages(path, {**query, "limit": LARGEST_PAGE, "cursor": paging.cursor})
    return {"items": [item for page in pages for item in page["items"]], "next_cursor": None}

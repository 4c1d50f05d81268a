"""A list as CSV, for spreadsheets."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""First characters that make a spreadsheet run a cell; names and tags are other people's text (OWASP: CSV injection)."""


def csv_of(kind: type[Struct], items: Sequence[Struct]) -> str:
    """Return items of this kind with a header row; what is nested becomes JSON."""
    out = io.StringIO()
    writer = csv.writer(out)
    names = [each.encode_name for each in msgspec.structs.fields(kind)]
    writer.writerow(names)
    for item in items:
        row = msgspec.to_builtins(item)
        writer.writerow([_cell(row[name]) for name in names])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list | tuple):
        return msgspec.json.encode(value).decode()
    if isinstance(value, str) and value.startswith(FORMULA):
        return "'" + value
    return value

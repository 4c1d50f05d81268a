"""What a command prints: a table on a terminal, tab-separated lines in a pipe, or JSON and CSV on request."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Column = tuple[str, str] | tuple[str, str, Callable[[Any], str]]
"""A heading, the field it shows (dotted for a nested one), and how, unless as it is."""

COLOURS = {"healthy": "32", "degraded": "33", "critical": "31", "active": "32", "failed": "31", "connected": "33"}


def show_listing(page: Mapping[str, Any], columns: Sequence[Column], form: str | None) -> None:
    """Print the items of a listing; JSON is the API's own document."""
    if form == "json":
        show_json(page)
    elif form == "csv":
        _show_csv(page["items"])
    else:
        show_rows([[_cell(item, column) for column in columns] for item in page["items"]], columns)


def show_record(record: Mapping[str, Any], form: str | None) -> None:
    """Print one object: a field a line unless as JSON or CSV."""
    if form == "json":
        show_json(record)
    elif form == "csv":
        _show_csv([record])
    else:
        width = max(map(len, record), default=0) if sys.stdout.isatty() else 0
        for name, value in record.items():
            print(f"{name:<{width}}  {_plain(value)}" if width else f"{name}\t{_plain(value)}")


def show_json(document: object) -> None:
    """Print JSON, indented for a person and on one line for a program."""
    print(json.dumps(document, indent=2 if sys.stdout.isatty() else None, ensure_ascii=False))


def show_rows(rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    """Print rows under headings: aligned on a terminal, tab-separated elsewhere."""
    table = [[column[0].upper() for column in columns], *rows]
    if not sys.stdout.isatty():
        for row in table:
            print("\t".join(_one_line(cell) for cell in row))
        return
    widths = [max(len(cell) for cell in cells) for cells in zip(*table, strict=True)]
    for row in table:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(_coloured(cell) for cell in padded).rstrip())


def money(micros: int | None) -> str:
    """Show micro-dollars as dollars; what is not known is not zero."""
    return "unknown" if micros is None else f"${micros / 1_000_000:,.4f}".rstrip("0").rstrip(".")


def yes_no(value: object) -> str:
    """Show a flag."""
    return "yes" if value else "no"


def joined(values: Sequence[str] | None) -> str:
    """Show a list."""
    return ", ".join(values or ())


def _show_csv(items: Sequence[Mapping[str, Any]]) -> None:
    import csv

    names = list(dict.fromkeys(name for item in items for name in item))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if names:
        writer.writerow(names)
    writer.writerows([_guarded(_plain(item.get(name))) for name in names] for item in items)


def _guarded(text: str) -> str:
    """Keep a spreadsheet from running a cell as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _cell(item: Mapping[str, Any], column: Column) -> str:
    value: Any = item
    for name in column[1].split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return _one_line(column[2](value) if len(column) == 3 else _plain(value))  # noqa: PLR2004 - it says how


def _plain(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    """Keep a cell in its place, and a terminal from obeying what somebody wrote into a tag."""
    return "".join(character if character.isprintable() else " " for character in text)


def _coloured(cell: str) -> str:
    colour = COLOURS.get(cell.strip())
    return f"\x1b[{colour}m{cell}\x1b[0m" if colour and not os.environ.get("NO_COLOR") else cell

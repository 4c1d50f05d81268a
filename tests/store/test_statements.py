"""SQL in files: each statement has a name and a sentence, and both engines understand it."""

import re
from datetime import datetime
from importlib.resources import files
from itertools import chain
from pathlib import Path

import pytest

from spotd.store.db import Database, open_database
from spotd.store.schema import migrate
from spotd.store.statements import Statements, arguments_of, load, parse

AGGREGATES = sorted(entry.name.removesuffix(".sql") for entry in files("spotd.store").joinpath("sql").iterdir())
EXAMPLE = """
-- name: pick
-- Pick some.
SELECT * FROM item
WHERE id > :after
  AND region = :region?
  AND kind = :kind?
LIMIT :limit;

-- name: all
-- Take all.
SELECT * FROM item;
"""


def variants(statements: Statements, name: str) -> list[str]:
    """Return a statement with all of its filters, and with none."""
    names = arguments_of(statements[name])
    if not names:
        return [statements[name]]
    optional = set(re.findall(r":([a-z_]+)\?", statements[name]))
    facts = dict.fromkeys(names, "x")
    return [
        statements.filtered(name, **facts)[0],
        statements.filtered(name, **{**facts, **dict.fromkeys(optional)})[0],
    ]


@pytest.mark.parametrize("aggregate", AGGREGATES)
async def test_both_engines_understand_every_statement(db: Database, aggregate: str) -> None:
    """Every statement can be planned, with all of its filters and with none."""
    statements = load(aggregate)
    for sql in chain.from_iterable(variants(statements, name) for name in statements):
        async with db.transaction() as tx:
            await _prepare(db, tx, sql)


async def _prepare(db: Database, tx: object, sql: str) -> None:
    if db.dialect == "sqlite":
        count = len(set(re.findall(r"\$(\d+)", sql)))
        await tx.fetch(f"EXPLAIN {sql}", *[None] * count)  # type: ignore[attr-defined]
    else:
        await tx._connection.prepare(_translated(sql))  # type: ignore[attr-defined]


def _translated(sql: str) -> str:
    from spotd.store.db.postgres import translate  # noqa: PLC0415

    return translate(sql)


def test_a_filter_that_is_not_given_leaves_its_line_out() -> None:
    """The remaining arguments are numbered in order, so that the statement takes exactly those."""
    sql, args = parse(EXAMPLE).filtered("pick", after=7, region=None, kind="a", limit=3)

    assert " ".join(sql.split()) == "SELECT * FROM item WHERE id > $1 AND kind = $2 LIMIT $3"
    assert args == [7, "a", 3]


def test_a_statement_without_a_sentence_is_refused() -> None:
    """Whoever adds a statement says what it is for."""
    with pytest.raises(ValueError, match="bare"):
        parse("-- name: bare\nSELECT 1;")


def test_a_name_is_given_once() -> None:
    """Two statements of one name would hide one of them."""
    with pytest.raises(ValueError, match="one name"):
        parse(EXAMPLE + EXAMPLE)


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"region": "r"}, "instances_region"),
        ({"state": "running"}, "instances_pools"),
        ({"instance_type": "t"}, "instances_type"),
        ({"account_id": "1" * 12}, "instances_account"),
        ({}, "INTEGER PRIMARY KEY"),
    ],
)
async def test_lists_are_read_through_an_index(
    tmp_path: Path, now: datetime, filters: dict[str, str], index: str
) -> None:
    """Each filter of the inventory is looked up, not sought in the whole fleet."""
    names = arguments_of(load("instances")["list_instances"])
    facts = {**dict.fromkeys(names), "after": 0, "limit": 100, **filters}
    sql, args = load("instances").filtered("list_instances", **facts)
    db = await open_database(f"sqlite:{tmp_path / 'spotd.db'}")
    try:
        await migrate(db, now=now)
        plan = [row["detail"] for row in await db.fetch(f"EXPLAIN QUERY PLAN {sql}", *args)]
    finally:
        await db.close()

    assert any("SEARCH i " in step and index in step for step in plan), plan

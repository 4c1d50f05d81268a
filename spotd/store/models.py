"""The registry of trained models: which version is a candidate, serves, or has retired."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from spotd.store.db import Executor
from spotd.store.db.values import Row, from_json, to_json, when
from spotd.store.statements import load

SQL = load("models")


class ModelState(StrEnum):
    """Where a version of a model stands in its life."""

    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"


class Model(Struct, frozen=True, kw_only=True):
    """One version of a model."""

    name: str
    version: str
    state: ModelState
    details: Mapping[str, Any]
    changed_at: datetime


async def put(
    db: Executor,
    *,
    name: str,
    version: str,
    state: ModelState,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Register a version or change its state; a version that becomes active retires the one that was."""
    async with db.transaction() as tx:
        if state is ModelState.ACTIVE:
            await tx.execute(SQL["retire_active"], name, version, now)
        await tx.execute(SQL["upsert_model"], name, version, state.value, to_json(details or {}), now)


async def all_models(db: Executor) -> tuple[Model, ...]:
    """Return every version of every model, the newest change of each model first."""
    return tuple(_model(row) for row in await db.fetch(SQL["list_models"]))


def _model(row: Row) -> Model:
    return Model(
        name=row["name"],
        version=row["version"],
        state=ModelState(row["state"]),
        details=from_json(row["details"], dict[str, Any]),
        changed_at=when(row["changed_at"]),
    )

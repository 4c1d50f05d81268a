"""What health reads from the store, in one go, and remembers for as long as the store is away.

A fact that grows old while the store is away is judged by its age as ever; the store's own trouble shows once, as the
database's, and not as everybody's.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from spotd.config import Config
from spotd.store import heartbeats, inbox, models, passes
from spotd.store.db import Database, Executor
from spotd.store.inbox import Backlog
from spotd.store.models import Model, ModelState
from spotd.store.passes import Pass

WATCHER = "k8s_watcher"
"""Name under which the Kubernetes watcher leaves its heartbeat."""


class ModelFact(Struct, frozen=True, kw_only=True):
    """The model in use: `active` or only standing in, and why it fails if it does."""

    name: str
    version: str
    active: bool
    error: str | None


class Facts(Struct, frozen=True, kw_only=True):
    """One reading of the store."""

    passes: Mapping[str, Pass]
    backlog: Backlog
    heartbeat_at: datetime | None = None
    model: ModelFact | None = None


class FactsReader:
    """Reads the facts and keeps the last that could be read."""

    def __init__(self, db: Database, config: Config) -> None:
        self._db = db
        self._config = config
        self.last: Facts | None = None

    async def read(self) -> Facts:
        """Read everything of one moment; raises StoreUnavailable."""
        async with self._db.snapshot() as view:
            self.last = Facts(
                passes=await passes.all_passes(view),
                backlog=await inbox.backlog(view),
                heartbeat_at=await self._heartbeat(view),
                model=in_use(await models.all_models(view)) if self._config.ml.enabled else None,
            )
        return self.last

    async def _heartbeat(self, view: Executor) -> datetime | None:
        beat = await heartbeats.get(view, WATCHER) if self._config.k8s.enabled else None
        return beat.at if beat else None


def in_use(known: tuple[Model, ...]) -> ModelFact | None:
    """Return the model that serves: the active one, else the newest candidate; None without either.

    A row's details may say `"fallback": true` for one that only stands in, and `"error"` for one that fails.
    """
    serving = [model for model in known if model.state is not ModelState.RETIRED]
    chosen = min(serving, key=lambda model: model.state is not ModelState.ACTIVE, default=None)
    if chosen is None:
        return None
    active = chosen.state is ModelState.ACTIVE and not chosen.details.get("fallback")
    return ModelFact(name=chosen.name, version=chosen.version, active=active, error=_error(chosen.details))


def _error(details: Mapping[str, Any]) -> str | None:
    return str(details["error"]) if details.get("error") else None

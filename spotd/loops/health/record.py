"""What the store keeps of health: each component's standing, and each change of it, written once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from spotd.log import Row
from spotd.model.event import Event, Outcome, Verdict
from spotd.model.health import ComponentState
from spotd.store import health, inbox, logs
from spotd.store.db import Database
from spotd.store.db.values import to_json

TOPIC = "health.transition"
COMPONENT = "health_monitor"
"""Under this name operators find the monitor's rows in `system_logs`."""
LEVELS: Mapping[ComponentState, str] = {
    ComponentState.HEALTHY: "info",
    ComponentState.DEGRADED: "warning",
    ComponentState.CRITICAL: "error",
}


class Known(Struct, frozen=True, kw_only=True):
    """A component's state as it was last told, and since when it has it."""

    component: str
    status: ComponentState
    since: datetime


class Transition(Struct, frozen=True, kw_only=True):
    """One change of state, with the reading that showed it and, for the worse, the diagnostics of that moment."""

    component: str
    before: ComponentState
    after: ComponentState
    at: datetime
    details: Mapping[str, Any]
    diagnostics: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The key of its event, which makes it one."""
        return f"{TOPIC}/{self.component}/{self.before}/{self.after}/{self.at.isoformat()}"

    def facts(self) -> dict[str, Any]:
        """Return what the stream, the log and its event tell of it."""
        return {
            "component": self.component,
            "from": self.before.value,
            "to": self.after.value,
            "details": self.details,
        }


async def recall(db: Database) -> dict[str, Known]:
    """Return every component's state as the last run of the daemon left it."""
    return {
        name: Known(component=name, status=standing.status, since=standing.since)
        for name, standing in (await health.standings(db)).items()
    }


async def write(db: Database, item: Known | Transition) -> None:
    """Store a standing, or a change of one with its log row, history row and event, all or none, and only once."""
    if isinstance(item, Known):
        await health.save_standing(db, item.component, item.status, since=item.since)
        return
    async with db.transaction() as tx:
        body = to_json({"source": "spotd", "detail-type": TOPIC, "detail": item.facts()})
        outcome = await inbox.accept(tx, _verdict(item), source="spotd", raw=body, received_at=item.at)
        if outcome is Outcome.DUPLICATE:  # the commit of an attempt that was cut short had gone through
            return
        details = {**item.facts(), "diagnostics": item.diagnostics}
        await health.record_transition(tx, item.component, item.before, item.after, at=item.at, details=details)
        await logs.insert(tx, _row(item, details))


def _row(item: Transition, details: Mapping[str, Any]) -> Row:
    return Row(
        timestamp=item.at,
        component=COMPONENT,
        level=LEVELS[item.after],
        message=f"{item.component}: {item.before} → {item.after}",
        details=details,
    )


def _verdict(item: Transition) -> Verdict:
    event = Event(
        key=item.key,
        kind=TOPIC,
        source="spotd",
        detail_type=TOPIC,
        account_id=None,
        region=None,
        time=item.at,
    )
    return Verdict(outcome=Outcome.ACCEPTED, key=item.key, kind=TOPIC, event=event)

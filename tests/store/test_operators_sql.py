"""What operators type, as it stands in the contract, on both engines."""

from datetime import datetime, timedelta

from spotd.log import Row
from spotd.model.account import Account, Status
from spotd.store import accounts, logs
from spotd.store.db import Database
from spotd.store.db.values import when

ACCOUNTS = "SELECT status, updated_at FROM accounts WHERE status IN ('connected', 'active', 'failed');"
ALERTS = "SELECT * FROM system_logs WHERE component = 'health_monitor' ORDER BY timestamp DESC LIMIT 10;"


async def test_operators_see_accounts_move(db: Database, account: Account, now: datetime) -> None:
    """A pending account is not among them; each change of status moves its time."""
    assert list(await db.fetch(ACCOUNTS)) == []

    for minute, status in enumerate((Status.CONNECTED, Status.FAILED, Status.CONNECTED, Status.ACTIVE), start=1):
        at = now + timedelta(minutes=minute)
        await accounts.transition(db, account.id, status, now=at)
        [row] = await db.fetch(ACCOUNTS)
        assert (row["status"], when(row["updated_at"])) == (status.value, at)


async def test_operators_see_the_last_alerts(db: Database, now: datetime) -> None:
    """The ten newest rows of the health monitor, and nobody else's."""
    rows = [
        Row(
            timestamp=now + timedelta(seconds=n), component=component, level="warning", message=f"{n}", details={"n": n}
        )
        for n in range(12)
        for component in ("health_monitor", "discovery")
    ]
    await logs.insert(db, *rows)

    found = await db.fetch(ALERTS)

    assert [row["message"] for row in found] == [f"{n}" for n in range(11, 1, -1)]
    assert list(found[0].keys()) == ["id", "timestamp", "component", "level", "message", "details"]  # type: ignore[attr-defined]

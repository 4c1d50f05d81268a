"""What was answered for is on the disk: a daemon killed at any moment loses no message and repeats none."""

import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from spotd.store import inbox
from spotd.store.db import open_database
from spotd.store.schema import version_of

WRITE = """
import asyncio, sys
from datetime import UTC, datetime
from spotd.model.event import Event, Outcome, Verdict
from spotd.store import inbox
from spotd.store.db import open_database
from spotd.store.inbox import Received
from spotd.store.schema import migrate

async def main():
    db, now = await open_database(sys.argv[1]), datetime.now(UTC)
    await migrate(db, now=now)
    for n in range(100_000):
        batch = []
        for key in (f"{n}a", f"{n}b"):
            event = Event(key=key, kind="rebalance", source="s", detail_type="d", account_id=None, region=None)
            batch.append(Received(verdict=Verdict(outcome=Outcome.ACCEPTED, key=key, event=event), body="{}"))
        await inbox.accept_all(db, batch, source="sqs", received_at=now)
        print(n, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("answers", [0, 1, 7, 40])
async def test_a_killed_daemon_keeps_what_it_answered_for(
    tmp_path: Path, repository: Path, now: datetime, answers: int
) -> None:
    """Every message that was acknowledged is stored, each transaction is whole, and the database opens again."""
    url = f"sqlite:{tmp_path / 'spotd.db'}"
    writer = subprocess.Popen([sys.executable, "-c", WRITE, url], stdout=subprocess.PIPE, cwd=repository)  # noqa: ASYNC220
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(answers)]
    writer.send_signal(signal.SIGKILL)
    rest, _ = writer.communicate()
    acknowledged += map(int, rest.split())

    db = await open_database(url)
    try:
        stored = await inbox.unprocessed(db, limit=10**6) if await version_of(db) else ()
        check = await db.fetch_one("SELECT integrity_check AS verdict FROM pragma_integrity_check")
    finally:
        await db.close()

    keys = [one.event.key for one in stored]
    assert len(set(keys)) == len(keys)
    assert {f"{n}{side}" for n in acknowledged for side in "ab"} <= set(keys)
    assert {key[:-1] for key in keys if key[-1] == "a"} == {key[:-1] for key in keys if key[-1] == "b"}
    assert check is not None
    assert check["verdict"] == "ok"

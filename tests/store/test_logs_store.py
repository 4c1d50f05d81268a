"""System logs: batched, bounded, and never a warning lost without a word."""

import threading
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotd.errors import StoreUnavailable
from spotd.log import Row
from spotd.store import logs
from spotd.store.db import Database
from spotd.store.logs import LogWriter


class FixedClock:
    """A clock that stands."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        """Return the one moment there is."""
        return self._now


class Away:
    """A database that is away for as long as `gone` is true."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.gone = True

    async def execute_many(self, sql: str, rows: object) -> None:
        """Write, or say that the database is away."""
        if self.gone:
            raise StoreUnavailable
        await self._db.execute_many(sql, rows)  # type: ignore[arg-type]


@pytest.fixture
def clock(now: datetime) -> FixedClock:
    """A clock that stands at the tests' moment."""
    return FixedClock(now)


def row(number: int, now: datetime, level: str = "warning", *, message: str = "it.failed", **details: object) -> Row:
    """Return a log row, a second after the one before."""
    at = now + timedelta(seconds=number)
    return Row(timestamp=at, component="c", level=level, message=message, details={"n": number, **details})


async def stored(db: Database, component: str = "c") -> list[tuple[str, dict[str, object]]]:
    """Return messages and details of a component, the oldest first."""
    rows = await logs.recent(db, component, limit=1000)
    return [(one.message, dict(one.details)) for one in reversed(rows)]


async def test_rows_come_back_newest_first(db: Database, now: datetime) -> None:
    """The newest rows of one component, as many as asked for."""
    await logs.insert(db, *(row(n, now, level="error") for n in range(20)))
    await logs.insert(db, Row(timestamp=now, component="other", level="info", message="m", details={}))

    recent = await logs.recent(db, "c")

    assert [one.details["n"] for one in recent] == [*range(19, 4, -1)]
    assert (recent[0].level, recent[0].timestamp) == ("error", now + timedelta(seconds=19))


async def test_a_flush_writes_everything(db: Database, now: datetime, clock: FixedClock) -> None:
    """Rows of every level are written, in the order of their times, batch after batch."""
    writer = LogWriter(db, clock=clock)
    for n in range(1200):
        writer.write(row(n, now, level="info" if n % 2 else "warning"))

    assert (writer.waiting, await writer.flush(), writer.waiting) == (1200, 1200, 0)
    assert [details["n"] for _, details in (await stored(db))] == [*range(200, 1200)]
    assert await writer.flush() == 0


async def test_what_the_database_does_not_take_waits(db: Database, now: datetime, clock: FixedClock) -> None:
    """While the database is away nothing is lost and nothing raised; when it is back, everything is written."""
    away = Away(db)
    writer = LogWriter(away, clock=clock)  # type: ignore[arg-type]
    for n in range(5):
        writer.write(row(n, now))
        assert await writer.flush() == 0

    away.gone = False
    assert await writer.flush() == 5
    assert [details["n"] for _, details in await stored(db)] == [0, 1, 2, 3, 4]


async def test_warnings_are_folded_never_lost_silently(db: Database, now: datetime, clock: FixedClock) -> None:
    """During a long outage the last warnings are kept; older ones become one row per message, with their number."""
    away = Away(db)
    writer = LogWriter(away, clock=clock, capacity=3)  # type: ignore[arg-type]
    for n in range(10):
        writer.write(row(n, now, message="a" if n % 2 else "b"))
        await writer.flush()
    away.gone = False
    await writer.flush()

    kept = await stored(db)
    assert [details["n"] for _, details in kept][-3:] == [7, 8, 9]
    folded = {message: details for message, details in kept if logs.REPEATED in details}
    assert {message: details[logs.REPEATED] for message, details in folded.items()} == {"b": 4, "a": 3}
    assert (folded["b"]["n"], folded["b"]["last_at"]) == (0, "2026-11-23T21:00:06Z")
    assert await stored(db, "log") == []


async def test_what_had_to_go_is_told(db: Database, now: datetime, clock: FixedClock) -> None:
    """Information is dropped first, oldest first, and counted; so are warnings once even folding has no room."""
    away = Away(db)
    writer = LogWriter(away, clock=clock, capacity=2)  # type: ignore[arg-type]
    for n in range(6):
        writer.write(row(n, now, message=f"m{n}"))
        writer.write(row(n, now, level="info", message=f"i{n}"))
    away.gone = False
    await writer.flush()

    assert [message for message, _ in await stored(db)] == ["m0", "m1", "m4", "i4", "m5", "i5"]
    assert await stored(db, "log") == [("log.rows_lost", {"warning": 2, "info": 4})]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(outage=st.lists(st.sampled_from(["info", "warning", "error", "flush"]), max_size=40), capacity=st.integers(1, 8))
async def test_every_warning_is_accounted_for(
    db: Database, now: datetime, clock: FixedClock, outage: list[str], capacity: int
) -> None:
    """Written, folded or told as lost: the numbers add up whatever the outage did."""
    await db.execute("DELETE FROM system_logs")
    away = Away(db)
    writer = LogWriter(away, clock=clock, capacity=capacity)  # type: ignore[arg-type]
    for n, step in enumerate(outage):
        if step == "flush":
            await writer.flush()
        else:
            writer.write(row(n, now, level=step, message=f"m{n % 3}"))
    away.gone = False
    await writer.flush()

    told = [details for _, details in await stored(db, "log")]
    rows = await logs.recent(db, "c", limit=1000)
    for level in ("info", "warning", "error"):
        written = sum(int(one.details.get(logs.REPEATED, 1)) for one in rows if one.level == level)
        lost = sum(int(str(details.get(level, 0))) for details in told)
        assert written + lost == outage.count(level)


@pytest.mark.parametrize(
    "odd",
    [object(), {1: {2: "x"}}, {("a", "b"): 1}, "\ud800", "a\0b", float("nan"), 2**70, b"\xff", {"deep": [[[]]]}],
    ids=lambda odd: type(odd).__name__,
)
async def test_an_odd_row_does_not_keep_the_others_waiting(
    db: Database, now: datetime, clock: FixedClock, odd: object
) -> None:
    """Whatever a row holds, it is written in some form."""
    writer = LogWriter(db, clock=clock)
    writer.write(row(1, now, message="bad \0 \ud800", odd=odd))

    assert await writer.flush() == 1
    assert len(await stored(db)) == 1


async def test_rows_may_come_from_any_thread(db: Database, now: datetime, clock: FixedClock) -> None:
    """Threads that log at once lose no row."""
    writer = LogWriter(db, clock=clock)

    def work() -> None:
        for n in range(200):
            writer.write(row(n, now))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert await writer.flush() == 800

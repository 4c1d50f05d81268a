"""System logs: rows that operators read with SQL, written in batches by a writer that nobody waits for."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from spotd.clock import Clock
from spotd.errors import StoreUnavailable
from spotd.log import Row
from spotd.store.db import Executor
from spotd.store.db.values import Row as StoredRow
from spotd.store.db.values import from_json, when
from spotd.store.statements import load

SQL = load("logs")

BATCH = 500
CAPACITY = 2000
"""Rows kept while they cannot be written, of each kind: those that matter, and those that do not."""

UNIMPORTANT = frozenset({"debug", "info"})
COMPONENT = "log"
REPEATED = "repeated"
LONGEST_MESSAGE = 4096


class LogRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `system_logs`."""

    id: int
    timestamp: datetime
    component: str
    level: str
    message: str
    details: Mapping[str, Any]


async def insert(db: Executor, *rows: Row) -> None:
    """Write rows at once, in the transaction of what they tell of."""
    await db.execute_many(SQL["insert_log"], [_values(row) for row in rows])


async def recent(db: Executor, component: str, *, limit: int = 15) -> tuple[LogRow, ...]:
    """Return the newest rows of a component, the newest first."""
    return tuple(_stored(row) for row in await db.fetch(SQL["recent_logs"], component, limit))


Key = tuple[str, str, str]


@dataclass(frozen=True)
class _Folded:
    """Old rows of one message: the first of them, how many there were, and when the last was."""

    first: Row
    times: int
    last_at: datetime

    def __add__(self, later: "_Folded") -> "_Folded":
        return _Folded(self.first, self.times + later.times, max(self.last_at, later.last_at))

    def row(self) -> Row:
        """Return the row that stands for all."""
        return replace(self.first, details={**self.first.details, REPEATED: self.times, "last_at": self.last_at})


@dataclass(frozen=True)
class _Batch:
    """Some of what waits, taken out to be written."""

    rows: list[Row]
    folded: dict[Key, _Folded]
    lost: Counter[str]

    def told(self, now: datetime) -> list[Row]:
        """Return everything as rows, in the order of their times."""
        rows = [*self.rows, *(folded.row() for folded in self.folded.values())]
        if self.lost:
            lost = dict(self.lost)
            rows.append(Row(timestamp=now, component=COMPONENT, level="warning", message="log.rows_lost", details=lost))
        return sorted(rows, key=lambda row: row.timestamp)


class LogWriter:
    """Takes rows from anywhere in the process, without waiting, and writes them when `flush` is called.

    While the database is away the last `capacity` rows that matter (from warning on) are kept, and as many that do not.
    A row that matters is never lost silently: older ones are folded into one row per message, which says how often it
    came; and what had to go in the end is told by a row of its own.
    """

    def __init__(self, db: Executor, *, clock: Clock, capacity: int = CAPACITY) -> None:
        self._db = db
        self._clock = clock
        self._capacity = capacity
        self._guard = threading.Lock()
        self._quiet: deque[Row] = deque()
        self._loud: deque[Row] = deque()
        self._folded: dict[Key, _Folded] = {}
        self._lost: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many rows are not written yet."""
        return len(self._quiet) + len(self._loud) + len(self._folded)

    def write(self, row: Row) -> None:
        """Take a row, from any thread."""
        with self._guard:
            self._queue_of(row).append(row)
            self._make_room()

    async def flush(self) -> int:
        """Write what waits and return how many rows that was; what the database does not take now waits on."""
        written = 0
        while rows := (batch := self._take()).told(self._clock.now()):
            try:
                await insert(self._db, *rows)
            except StoreUnavailable:
                self._put_back(batch)
                break
            except BaseException:
                self._put_back(batch)
                raise
            written += len(rows)
        return written

    def _queue_of(self, row: Row) -> deque[Row]:
        return self._quiet if row.level in UNIMPORTANT else self._loud

    def _take(self) -> _Batch:
        with self._guard:
            rows = [queue.popleft() for queue in (self._loud, self._quiet) for _ in range(min(BATCH, len(queue)))]
            batch = _Batch(rows, self._folded, self._lost)
            self._folded, self._lost = {}, Counter()
            return batch

    def _put_back(self, batch: _Batch) -> None:
        with self._guard:
            for row in reversed(batch.rows):
                self._queue_of(row).appendleft(row)
            since, self._folded = self._folded, batch.folded
            for folded in since.values():
                self._fold(folded)
            self._lost += batch.lost
            self._make_room()

    def _make_room(self) -> None:
        while len(self._quiet) > self._capacity:
            self._lost[self._quiet.popleft().level] += 1
        while len(self._loud) > self._capacity:
            row = self._loud.popleft()
            self._fold(_Folded(row, 1, row.timestamp))

    def _fold(self, folded: _Folded) -> None:
        """Keep old rows as a count, if there is room for their message."""
        key = (folded.first.component, folded.first.level, folded.first.message)
        if key in self._folded:
            self._folded[key] += folded
        elif len(self._folded) < self._capacity:
            self._folded[key] = folded
        else:
            self._lost[folded.first.level] += folded.times


def _values(row: Row) -> tuple[object, ...]:
    return row.timestamp, _plain(row.component), row.level, _plain(row.message)[:LONGEST_MESSAGE], _details(row.details)


def _details(details: Mapping[str, Any]) -> str:
    """Return JSON whatever the details hold: a row that cannot be written would keep all others waiting."""
    try:
        return msgspec.json.encode(details, enc_hook=repr).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        return msgspec.json.encode({"details": _plain(repr(details))[:LONGEST_MESSAGE]}).decode()


def _plain(text: str) -> str:
    """Return text that both databases take: without NUL and lone surrogates."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _stored(row: StoredRow) -> LogRow:
    return LogRow(
        id=row["id"],
        timestamp=when(row["timestamp"]),
        component=row["component"],
        level=row["level"],
        message=row["message"],
        details=from_json(row["details"], dict[str, Any]),
    )

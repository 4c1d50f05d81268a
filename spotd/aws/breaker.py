"""Breakers: an endpoint that fails again and again is left alone for a while, for one account, region and service.

Only failures of the endpoint count: no answer, a broken answer, a 5xx. A 4xx is an answer, and throttling has its own
brake (`limits`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from spotd.aws.errors import AwsError, Call, Trouble
from spotd.aws.limits import loop_time

FAILURES_TO_OPEN: Final = 5
PAUSES: Final = (10.0, 20.0, 40.0, 60.0)
"""Seconds an open breaker waits for its next trial, by how many trials failed; the last one repeats."""


class OpenBreaker(NamedTuple):
    """An endpoint that is left alone; times in seconds."""

    account_id: str
    region: str
    service: str
    failures: int
    last_error: str
    open_for: float
    next_trial_in: float


class Breaker:
    """Counts the failures of one endpoint in a row."""

    __slots__ = ("_opened_at", "_retry_at", "_trial", "_trials", "failures", "last_error")

    def __init__(self) -> None:
        self.failures = 0
        self.last_error = ""
        self._opened_at: float | None = None
        self._retry_at = 0.0
        self._trials = 0
        self._trial = False

    @property
    def opened_at(self) -> float | None:
        """Loop time at which it opened, None while it is closed."""
        return self._opened_at

    def next_trial_in(self, now: float) -> float:
        """Return the seconds until a call may be tried, 0 when it may."""
        return max(0.0, self._retry_at - now) if self._opened_at is not None else 0.0

    def admit(self, now: float) -> bool:
        """Return whether a call may be sent; of an open breaker's callers, one is let through as its trial."""
        if self._opened_at is None:
            return True
        if self._trial or self.next_trial_in(now) > 0:
            return False
        self._trial = True
        return True

    def answered(self) -> None:
        """Close: the endpoint answered."""
        self.failures = self._trials = 0
        self._opened_at = None
        self._trial = False

    def failed(self, now: float, error: str) -> None:
        """Count a failure; open at the fifth in a row, wait longer after each failed trial."""
        self.failures += 1
        self.last_error = error
        if self._trial:
            self._trials += 1
            self._pause(now)
        elif self._opened_at is None and self.failures >= FAILURES_TO_OPEN:
            self._opened_at = now
            self._pause(now)
        self._trial = False

    def undecided(self) -> None:
        """Give the trial back: the call ended without an answer about the endpoint."""
        self._trial = False

    def _pause(self, now: float) -> None:
        self._retry_at = now + PAUSES[min(self._trials, len(PAUSES) - 1)]


class Breakers:
    """One breaker for each endpoint that failed lately."""

    def __init__(self) -> None:
        self._breakers: dict[tuple[str, str, str], Breaker] = {}

    @contextmanager
    def guard(self, call: Call) -> Iterator[None]:
        """Refuse the call while its breaker is open, else count how it ends; raises AwsError."""
        key = (call.account_id, call.region, call.service)
        breaker = self._breakers.setdefault(key, Breaker())
        if not breaker.admit(loop_time()):
            raise _refusal(breaker, call)
        try:
            yield
        except AwsError as error:
            self._judge(key, breaker, error)
            raise
        except BaseException:
            breaker.undecided()
            raise
        self._closed(key, breaker)

    def open(self) -> tuple[OpenBreaker, ...]:
        """Return the endpoints that are left alone at present."""
        now = loop_time()
        return tuple(
            OpenBreaker(*key, each.failures, each.last_error, now - each.opened_at, each.next_trial_in(now))
            for key, each in self._breakers.items()
            if each.opened_at is not None
        )

    def forget(self, account_id: str) -> None:
        """Drop the breakers of an account that is gone."""
        self._breakers = {key: each for key, each in self._breakers.items() if key[0] != account_id}

    def _judge(self, key: tuple[str, str, str], breaker: Breaker, error: AwsError) -> None:
        if error.call[:3] != key or (error.status is None and not error.counts_against_endpoint):
            breaker.undecided()  # what failed is the renewal of the session, or the call was never sent
        elif error.counts_against_endpoint:
            breaker.failed(loop_time(), f"{error.code}: {error.message}")
        elif error.trouble is Trouble.THROTTLED:
            breaker.undecided()
        else:
            self._closed(key, breaker)

    def _closed(self, key: tuple[str, str, str], breaker: Breaker) -> None:
        """A healthy endpoint needs no memory."""
        breaker.answered()
        if self._breakers.get(key) is breaker:
            del self._breakers[key]


def _refusal(breaker: Breaker, call: Call) -> AwsError:
    wait = breaker.next_trial_in(loop_time())
    message = f"left alone for {wait:.0f} s more after {breaker.failures} failures in a row, last {breaker.last_error}"
    return AwsError(Trouble.TRANSIENT, "BreakerOpen", message, call)

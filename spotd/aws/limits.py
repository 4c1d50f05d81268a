"""How fast spotd asks: a share of AWS's published rates, slower still when AWS says so, and few retries in all."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from spotd.aws.errors import Trouble, trouble_of
from spotd.aws.operations import Group, Rate

SLOWEST: Final = 0.05
"""The share of its own rate a throttled bucket never goes below."""
BACK_OFF: Final = 0.5
"""What a bucket's rate is multiplied by when AWS throttles (multiplicative decrease)."""
DEAF: Final = 1.0
"""Seconds in which further throttling belongs to the same burst and does not slow the bucket again."""
RECOVERY: Final = 0.02
"""The share of its own rate a bucket gains with each call AWS accepts (additive increase)."""
RETRY_RESERVE: Final = 200.0
"""Retries the process may make before any call succeeded."""
RETRY_EARNED: Final = 0.2
"""Retries each call that succeeds pays for: in a lasting outage retries add at most this share of load."""


def loop_time() -> float:
    """Return the running event loop's time in seconds."""
    return asyncio.get_running_loop().time()


class TokenBucket:
    """One of AWS's request buckets, seen from outside: callers wait their turn, first come first served."""

    __slots__ = ("_deaf_until", "_full", "_last", "_rate", "_tokens", "_turn")

    def __init__(self, full: Rate) -> None:
        self._full = full
        self._rate = full.per_second
        self._tokens = full.burst
        self._last: float | None = None
        self._deaf_until = 0.0
        self._turn = asyncio.Lock()

    @property
    def rate(self) -> float:
        """Tokens that flow in per second at present."""
        return self._rate

    async def take(self) -> None:
        """Wait for a token and take it."""
        async with self._turn:
            self._refill()
            while self._tokens < 1:
                await asyncio.sleep((1 - self._tokens) / self._rate)
                self._refill()
            self._tokens -= 1

    def owe(self) -> None:
        """Count a call that was sent without waiting: a retry, whose wait was its back-off."""
        self._refill()
        self._tokens -= 1

    def throttled(self) -> None:
        """Halve the rate and drop what was saved up, once a burst."""
        now = loop_time()
        if now < self._deaf_until:
            return
        self._refill()
        self._deaf_until = now + DEAF
        self._rate = max(self._full.per_second * SLOWEST, self._rate * BACK_OFF)
        self._tokens = min(self._tokens, 0.0)

    def accepted(self) -> None:
        """Gain a little of the rate back."""
        if self._rate < self._full.per_second:
            self._refill()
            self._rate = min(self._full.per_second, self._rate + self._full.per_second * RECOVERY)

    def _refill(self) -> None:
        now = loop_time()
        idle = now - (now if self._last is None else self._last)
        self._last = now
        # A whole token is due after the computed sleep; rounding must not make the loop sleep again for 1e-17 s.
        self._tokens = min(self._full.burst, self._tokens + idle * self._rate + 1e-9)


class RetryBudget:
    """Retries the whole process may make: a reserve, and a share of what succeeds."""

    def __init__(self, reserve: float = RETRY_RESERVE) -> None:
        self._reserve = reserve
        self._left = reserve

    def earn(self) -> None:
        """Count a call that succeeded."""
        self._left = min(self._reserve, self._left + RETRY_EARNED)

    def spend(self) -> bool:
        """Take one retry; return whether there was one."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Scope(NamedTuple):
    """What one of AWS's buckets is for."""

    account_id: str
    region: str
    service: str
    group: str


_bucket: ContextVar[TokenBucket | None] = ContextVar("spotd_aws_bucket", default=None)


class Limits:
    """Every bucket, and how many calls may be under way: in all, and to one endpoint at most half of that.

    So an endpoint that hangs never holds the places of the others.
    """

    def __init__(self, *, share: float, concurrency: int) -> None:
        self._share = share
        self.lane_width = max(1, concurrency // 2)
        self._places = asyncio.Semaphore(concurrency)
        self._buckets: dict[Scope, TokenBucket] = {}
        self._lanes: dict[tuple[str, str], asyncio.Semaphore] = {}
        self.retries = RetryBudget()

    @asynccontextmanager
    async def admit(self, account_id: str, region: str, service: str, group: Group) -> AsyncIterator[None]:
        """Wait for a token, a free connection and a place among the calls under way; hold the latter two."""
        bucket = self.bucket(account_id, region, service, group)
        if bucket is not None:
            await bucket.take()
        async with self._lane(service, region), self._places if group.pooled else nullcontext():
            with _metered(bucket):
                yield

    def bucket(self, account_id: str, region: str, service: str, group: Group) -> TokenBucket | None:
        """Return the bucket these calls draw from, None where AWS sets no limit."""
        if group.rate is None:
            return None
        scope = Scope(account_id, region, service, group.name)
        if scope not in self._buckets:
            self._buckets[scope] = TokenBucket(_shared(group.rate, self._share))
        return self._buckets[scope]

    def forget(self, account_id: str) -> None:
        """Drop the buckets of an account that is gone."""
        self._buckets = {scope: each for scope, each in self._buckets.items() if scope.account_id != account_id}

    def _lane(self, service: str, region: str) -> asyncio.Semaphore:
        return self._lanes.setdefault((service, region), asyncio.Semaphore(self.lane_width))


def observe_answer(parsed_response: Mapping[str, Any] | None, **_: Any) -> None:
    """Tell the caller's bucket how one attempt went (botocore's `response-received`)."""
    bucket = _bucket.get()
    if bucket is None or parsed_response is None:
        return
    if is_throttled(parsed_response):
        bucket.throttled()
    elif "Error" not in parsed_response:
        bucket.accepted()


def note_retry() -> None:
    """Count a retry in the caller's bucket."""
    if (bucket := _bucket.get()) is not None:
        bucket.owe()


def is_throttled(parsed_response: Mapping[str, Any]) -> bool:
    """Whether AWS answered "slower"."""
    code = str(parsed_response.get("Error", {}).get("Code", ""))
    status = parsed_response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return trouble_of(code, status) is Trouble.THROTTLED


def _shared(rate: Rate, share: float) -> Rate:
    return Rate(max(1.0, rate.burst * share), rate.per_second * share)


@contextmanager
def _metered(bucket: TokenBucket | None) -> Iterator[None]:
    token = _bucket.set(bucket)
    try:
        yield
    finally:
        _bucket.reset(token)

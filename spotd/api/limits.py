"""Token buckets against guessing and floods; time is the event loop's."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from spotd.api.problems import Refusal

MAX_KEYS = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """How many at once, and how many a second after that."""

    burst: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer or token may do.

    `failures` are unknown tokens per peer address: nobody guesses 256 bits, but looking up guesses must not keep the
    store busy. `requests` are per token, far above any dashboard or event source seen, low enough that a runaway
    script leaves others room.
    """

    failures: Rate = Rate(burst=1000, per_second=100)
    requests: Rate = Rate(burst=4000, per_second=2000)


class Buckets:
    """One bucket per key; the key unused for longest is forgotten when there are too many."""

    def __init__(self, rate: Rate, time: Callable[[], float]) -> None:
        self._rate = rate
        self._time = time
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, key: str) -> None:
        """Take one from the key's bucket; raises Refusal 429 with `Retry-After` when it is empty."""
        now = self._time()
        level, at = self._levels.pop(key, (self._rate.burst, now))
        level = min(self._rate.burst, level + (now - at) * self._rate.per_second)
        self._levels[key] = (max(0.0, level - 1), now)
        if len(self._levels) > MAX_KEYS:
            self._levels.popitem(last=False)
        if level < 1:
            wait = ceil((1 - level) / self._rate.per_second)
            raise Refusal(429, "too_many_requests", "too many requests", headers={"Retry-After": str(wait)})

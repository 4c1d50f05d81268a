"""The simulated world's state: accounts with their credentials, fleets written into moto, and what truly happened."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from spotd.sim import geography
from spotd.sim.backends import Moto
from spotd.sim.identity import Identities
from spotd.sim.options import Options
from spotd.sim.workloads import LIGHT, Load

HOME_REGION = "us-east-1"
QUEUE_NAME = "spotd-events"
ACCOUNT_NAMES = ("acme-production", "acme-staging", "globex-production", "globex-staging", "initech", "umbrella")
TRUTH_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One simulated account: its admin user's keys and its two roles for the daemon (one forgets the ExternalId)."""

    account_id: str
    name: str
    index: int
    user_arn: str
    access_key_id: str
    secret_access_key: str
    role_arn: str
    external_id: str
    open_role_arn: str


@dataclass(slots=True)
class World:
    """All state that moto does not keep. Only the state's thread touches it, but for `truth`, which is append-only."""

    options: Options
    moto: Moto
    identities: Identities
    hub: Account
    accounts: tuple[Account, ...]
    queue_arn: str
    loads: dict[str, Load] = field(default_factory=dict)
    overrides: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    interrupted: dict[str, datetime] = field(default_factory=dict)
    truth: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=TRUTH_LIMIT))
    clock_offset: timedelta = timedelta()

    def now(self) -> datetime:
        """The simulated AWS's own time: real time, unless a test has skewed it."""
        return datetime.now(UTC) + self.clock_offset

    def record(self, kind: str, **facts: Any) -> None:
        """Write down what happened, for tests that compare it with what was noticed."""
        self.truth.append({"at": self.now().isoformat(), "kind": kind, **facts})

    def account(self, account_id: str) -> Account:
        """An account by its 12 digits; `KeyError` when it is not simulated."""
        found = next((a for a in (self.hub, *self.accounts) if a.account_id == account_id), None)
        if found is None:
            raise KeyError(account_id)
        return found

    def zones(self, account_id: str, region: str) -> Mapping[str, str]:
        """Zone name → zone id as this account sees them."""
        return geography.zones(region, self.account(account_id).index)

    def ec2(self, account_id: str, region: str) -> Any | None:
        """The EC2 (moto's) of a region in which something lives, else None."""
        return self.moto.existing("ec2", account_id, region)

    def instances(self) -> Iterator[tuple[str, str, Any]]:
        """Every instance as (account id, region, moto's object)."""
        for account in (self.hub, *self.accounts):
            for region in self.options.enabled_regions:
                backend = self.ec2(account.account_id, region)
                for reservation in list(backend.reservations.values()) if backend else ():
                    for instance in list(reservation.instances):
                        yield account.account_id, region, instance

    def find_instance(self, instance_id: str) -> tuple[str, str, Any]:
        """(account id, region, instance); `KeyError` when there is none."""
        for found in self.instances():
            if found[2].id == instance_id:
                return found
        raise KeyError(instance_id)

    def load_of(self, instance_id: str) -> Load:
        """How busy an instance is; one that was launched later is lightly used."""
        return self.loads.get(instance_id, LIGHT)

    def hashed(self, *parts: object) -> Random:
        """A random source that is the same for the same seed and parts."""
        return Random("/".join(map(str, (self.options.seed, *parts))))  # noqa: S311 - reproducible, not secret

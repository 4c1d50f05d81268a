"""What the API needs from the rest of the daemon, as Protocols: the composition root hands in the real ones."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from spotd.changes import Changes
from spotd.clock import Clock
from spotd.model.account import AccessKeys, Account
from spotd.model.event import Verdict
from spotd.model.health import ComponentHealth
from spotd.store.db import Database


class Pulse(Protocol):
    """What one loop last did; times are loop time, in seconds."""

    @property
    def started(self) -> float | None:
        """When its last tick began."""

    @property
    def last_ok(self) -> float | None:
        """When its last good tick ended."""

    @property
    def failures(self) -> int:
        """Ticks that failed in a row."""

    @property
    def last_error(self) -> str | None:
        """What the last failure said."""


class Verification(Protocol):
    """What proving an account's stored credentials came to."""

    @property
    def valid(self) -> bool:
        """Whether AWS accepted them, and refused what it must refuse."""

    @property
    def reason(self) -> str:
        """One word for a program, such as `Verified` or `AccessDenied`."""

    @property
    def message(self) -> str:
        """One sentence for a person."""


class Policies(Protocol):
    """The documents an account's owner creates the role from."""

    @property
    def trust(self) -> Mapping[str, Any]:
        """The role's trust policy."""

    @property
    def permissions(self) -> Mapping[str, Any]:
        """The role's permission policy."""

    @property
    def cloudformation(self) -> str:
        """Both, and the role, as a CloudFormation template."""

    @property
    def terraform(self) -> str:
        """Both, and the role, as Terraform."""


class Onboarding(Protocol):
    """Brings accounts in, proves their credentials and lets them go."""

    async def create_pending(self, *, account_id: str, name: str, regions: tuple[str, ...]) -> Account:
        """Create a pending account with its ExternalId; raises Conflict when the AWS id is taken."""
        ...

    async def connect_keys(self, *, account_id: str, name: str, keys: AccessKeys, regions: tuple[str, ...]) -> Account:
        """Validate the key pair, store it sealed, connect the account and wake discovery.

        Raises InvalidInput for keys AWS refuses (no row is written), Conflict when already connected.
        """
        ...

    def account_of_role(self, role_arn: str) -> str:
        """Return the 12-digit account of a role's ARN; raises InvalidInput for a malformed one."""
        ...

    async def connect_role(self, *, role_arn: str) -> Account:
        """Prove the role, store it, connect its account and wake discovery.

        Raises InvalidInput for a malformed or unproven role (the row stays), Conflict when already connected.
        """
        ...

    async def replace_keys(self, account: Account, keys: AccessKeys) -> Account:
        """Validate the pair and use it from now on; the status stays. Raises InvalidInput and keeps the old."""
        ...

    async def replace_role(self, account: Account, *, role_arn: str) -> Account:
        """Prove the role and use it from now on; the status stays. Raises InvalidInput and keeps the old."""
        ...

    async def verify(self, account: Account) -> Verification:
        """Prove the stored credentials again and keep the result as a condition."""
        ...

    async def policies(self, account: Account) -> Policies:
        """Return the documents for this account's ExternalId and the daemon's own identity."""
        ...

    async def remove(self, account: Account) -> None:
        """Delete the account with everything known of it."""
        ...


class Settled(Protocol):
    """What one of several siblings came to."""

    @property
    def error(self) -> Exception | None:
        """What it failed with, or None."""


class SideBySide(Protocol):
    """Runs siblings side by side; one failing never cancels another (the loops' `settled`)."""

    async def __call__(
        self, coroutines: Iterable[Coroutine[Any, Any, Any]], /, *, limit: int, deadline: float | None = None
    ) -> Sequence[Settled]:
        """Return what each came to, once all have ended."""
        ...


@dataclass(frozen=True, kw_only=True)
class Services:
    """The API's collaborators.

    `discover` wakes an account's scan and raises Conflict where its status forbids one. `tick_now` runs one tick of a
    named loop and returns its result. `ingest` makes a raw body durable and returns a verdict per event. `unready`
    returns why the daemon should get no work (empty when ready). `metrics` returns figures by name (`events.accepted`;
    a name ending in `_total` counts up). `signing_secret` proves signed events, None refuses them.
    """

    db: Database
    clock: Clock
    changes: Changes
    onboarding: Onboarding
    discover: Callable[[Account], Awaitable[None]]
    tick_now: Callable[[str], Awaitable[object]]
    reload: Callable[[], Awaitable[Mapping[str, Any]]]
    ingest: Callable[[bytes, str], Awaitable[Sequence[Verdict]]]
    health: Callable[[], Mapping[str, ComponentHealth]]
    pulses: Callable[[], Mapping[str, Pulse]]
    metrics: Callable[[], Mapping[str, float]]
    breakers: Callable[[], Sequence[str]]
    unready: Callable[[], Sequence[str]]
    side_by_side: SideBySide
    version: str
    health_interval: float = 30.0
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)
    signing_secret: bytes | None = field(default=None, repr=False)

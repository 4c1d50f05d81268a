"""AWS accounts: who they are, how they are reached, how far onboarding got."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from msgspec import Struct


class Status(StrEnum):
    """How far an account's onboarding got; other programs read these four values."""

    PENDING = "pending"
    CONNECTED = "connected"
    ACTIVE = "active"
    FAILED = "failed"


class ConnectionMethod(StrEnum):
    """How the daemon gets credentials for an account."""

    IAM_ROLE = "iam_role"
    ACCESS_KEYS = "access_keys"


class Condition(Struct, frozen=True, kw_only=True):
    """One nuance that the four statuses cannot carry, such as `RegionExcluded/eu-south-1`."""

    type: str
    status: bool
    reason: str
    message: str = ""
    observed_at: datetime


class Account(Struct, frozen=True, kw_only=True):
    """One onboarded AWS account.

    `id` is the database's key, `account_id` AWS's 12 digits. `regions` empty means every enabled region.
    """

    id: int
    account_id: str
    name: str
    status: Status
    connection_method: ConnectionMethod | None = None
    role_arn: str | None = None
    external_id: str | None = None
    regions: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    metadata: Mapping[str, Any] = {}
    created_at: datetime
    updated_at: datetime


class AccessKeys(Struct, frozen=True, kw_only=True):
    """A long-lived key pair, in memory only; never logged, never answered."""

    method: Literal["access_keys"] = "access_keys"
    access_key_id: str
    secret_access_key: str

    def __repr__(self) -> str:
        return "AccessKeys(…)"


class RoleGrant(Struct, frozen=True, kw_only=True):
    """A role to assume with the ExternalId that spotd generated for its account."""

    method: Literal["iam_role"] = "iam_role"
    role_arn: str
    external_id: str


Grant = AccessKeys | RoleGrant
"""What an account's credentials are made from."""

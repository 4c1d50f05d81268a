"""What requests carry, as types: their constraints are checked here and published in OpenAPI."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from spotd.model.advice import Decision
from spotd.model.instance import Lifecycle, State

END = r"(?!\n)$"
"""The end of the text, where a bare `$` would let a final newline pass."""

AccountId = Annotated[str, Meta(min_length=12, max_length=12, pattern=f"^[0-9]{{12}}{END}")]
AccountRef = Annotated[str, Meta(min_length=1, max_length=18, pattern=f"^[0-9]+{END}")]
"""Twelve digits are the AWS id, anything else the account's integer id."""

Name = Annotated[str, Meta(min_length=1, max_length=200, pattern=rf"^[^\x00-\x1f\x7f]+{END}")]
Region = Annotated[str, Meta(max_length=32, pattern=f"^[a-z]{{2,}}(-[a-z]+)+-[0-9]{{1,2}}{END}")]
Regions = Annotated[tuple[Region, ...], Meta(max_length=100)]
Word = Annotated[str, Meta(min_length=1, max_length=128, pattern=rf"^[^\x00-\x1f\x7f]+{END}")]
KeyId = Annotated[str, Meta(min_length=16, max_length=128, pattern=f"^[A-Za-z0-9_]+{END}")]
Secret = Annotated[str, Meta(min_length=16, max_length=256, pattern=f"^[\x21-\x7e]+{END}")]
RoleArn = Annotated[str, Meta(min_length=1, max_length=2048)]
Limit = Annotated[int, Meta(ge=1, le=1000)]
Cursor = Annotated[str, Meta(min_length=1, max_length=1024, pattern=f"^[A-Za-z0-9_-]+{END}")]


GrantedScope = Literal["read", "events", "approve", "execute", "accounts", "admin"]


class Page(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which page of a list."""

    limit: Limit = 100
    cursor: Cursor | None = None


class CreateAccount(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account; no `regions` means every enabled one."""

    account_id: AccountId
    name: Name
    regions: Regions = ()


class ConnectKeys(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="connection_method", tag="access_keys"
):
    """Connect with an access key pair; a new account is created."""

    account_id: AccountId
    name: Name
    access_key_id: KeyId
    secret_access_key: Secret
    regions: Regions = ()

    def __repr__(self) -> str:
        return f"ConnectKeys(account_id={self.account_id!r}, …)"


class ConnectRole(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="connection_method", tag="iam_role"
):
    """Connect with a role; its account comes from the ARN and must have been created."""

    role_arn: RoleArn
    account_id: AccountId | None = None
    name: Name | None = None
    regions: Regions | None = None


class ReplaceKeys(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="connection_method", tag="access_keys"
):
    """A new key pair for the account of the path."""

    access_key_id: KeyId
    secret_access_key: Secret
    account_id: AccountId | None = None
    name: Name | None = None
    regions: Regions | None = None

    def __repr__(self) -> str:
        return "ReplaceKeys(…)"


class ReplaceRole(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="connection_method", tag="iam_role"
):
    """A new role for the account of the path."""

    role_arn: RoleArn
    account_id: AccountId | None = None
    name: Name | None = None
    regions: Regions | None = None


Connect = ConnectKeys | ConnectRole
Replace = ReplaceKeys | ReplaceRole


class InstanceQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the inventory; `tag` is `key` or `key=value`, and may be repeated: all must match."""

    account_id: AccountRef | None = None
    region: Word | None = None
    state: State | None = None
    lifecycle: Lifecycle | None = None
    instance_type: Word | None = None
    tag: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=385)], ...], Meta(max_length=4)] = ()


class OverviewQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the overview."""

    account_id: AccountRef | None = None


class EventQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the inbox."""

    kind: Word | None = None
    account_id: AccountRef | None = None


class PriceQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the prices."""

    region: Word | None = None
    az: Word | None = None
    instance_type: Word | None = None
    product: Word | None = None


class RecommendationQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the recommendations; refusals are recommendations too."""

    account_id: AccountRef | None = None
    verdict: Decision | None = None
    state: Literal["open", "superseded", "expired"] | None = None


class HistoryQuery(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters of the health history."""

    component: Word | None = None


class StreamQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a stream goes on: the sequence, or `epoch:sequence`, last seen; `ticket` stands in for a token once."""

    after: Annotated[str, Meta(max_length=64, pattern=f"^([A-Za-z0-9_-]+:)?[0-9]{{1,18}}{END}")] | None = None
    ticket: Annotated[str, Meta(max_length=128)] | None = None


class CreateToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new token; `account_id` limits it to one account, `expires_at` ends it."""

    name: Name
    scopes: Annotated[tuple[GrantedScope, ...], Meta(min_length=1, max_length=6)]
    account_id: AccountId | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None

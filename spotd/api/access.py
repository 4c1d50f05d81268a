"""Who asks, and what they may: scopes and principals."""

from dataclasses import dataclass
from enum import StrEnum

from spotd.api.problems import Refusal


class Scope(StrEnum):
    """What a token may do; `admin` includes all others, `public` needs no token and is never granted."""

    PUBLIC = "public"
    READ = "read"
    EVENTS = "events"
    APPROVE = "approve"
    EXECUTE = "execute"
    ACCOUNTS = "accounts"
    ADMIN = "admin"


GRANTABLE = frozenset(Scope) - {Scope.PUBLIC}
"""Scopes that a token can carry."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request: a token's name or the socket's peer.

    `account` (12 digits) limits it to one AWS account, None to none.
    """

    name: str
    scopes: frozenset[Scope]
    account: str | None = None

    def may(self, scope: Scope) -> bool:
        """Whether this principal holds the scope, by itself or through `admin`."""
        return scope is Scope.PUBLIC or scope in self.scopes or Scope.ADMIN in self.scopes

    def sees(self, account_id: str | None) -> bool:
        """Whether facts of this AWS account are shown to this principal."""
        return self.account is None or self.account == account_id

    def require(self, account_id: str) -> None:
        """Refuse a change of an account that this principal is not limited to; raises Refusal 403."""
        if not self.sees(account_id):
            raise Refusal(403, "forbidden", f"this token is limited to account {self.account}")


NOBODY = Principal("nobody", frozenset())
"""Who asks for the public routes."""

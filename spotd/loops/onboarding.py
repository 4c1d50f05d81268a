"""Bring accounts in and let them go; their credentials are proven before, sealed after, and never written plain."""

from collections.abc import Callable, Mapping

import structlog
from msgspec import Struct

from spotd.aws import onboarding as proof
from spotd.aws.policies import Policies, policies_for
from spotd.aws.session import Aws
from spotd.aws.sts import Identity, parse_role_arn
from spotd.changes import Changes
from spotd.clock import Clock
from spotd.crypto import KeyRing
from spotd.errors import Conflict, InvalidInput
from spotd.model.account import AccessKeys, Account, Condition, ConnectionMethod, Grant, RoleGrant, Status
from spotd.store import accounts
from spotd.store.db import Database, Executor

log = structlog.get_logger(__name__)

CREDENTIALS_VALID = "CredentialsValid"
KEY_ID, KEY_SECRET = "access_key_id", "secret_access_key"
CONNECTABLE = frozenset({Status.PENDING, Status.FAILED})


class Verified(Struct, frozen=True, kw_only=True):
    """What proving an account's stored credentials came to."""

    valid: bool
    reason: str
    message: str


VERIFIED = Verified(valid=True, reason="Verified", message="AWS accepts the credentials")


class Onboarding:
    """Creates, connects, verifies and removes accounts.

    `wake` starts the discovery of connected accounts at once; the row itself is what remembers that it is owed.
    """

    def __init__(
        self, *, db: Database, aws: Aws, keyring: KeyRing, clock: Clock, changes: Changes, wake: Callable[[], None]
    ) -> None:
        self._db = db
        self._aws = aws
        self._keyring = keyring
        self._clock = clock
        self._changes = changes
        self._wake = wake
        self._identity: Identity | None = None

    async def create_pending(self, *, account_id: str, name: str, regions: tuple[str, ...]) -> Account:
        """Create a pending account with its ExternalId; raises Conflict when the AWS id is taken."""
        account = await self._create(self._db, account_id, name, regions)
        self._announce(account)
        return account

    async def connect_keys(self, *, account_id: str, name: str, keys: AccessKeys, regions: tuple[str, ...]) -> Account:
        """Prove the pair, store it sealed, connect the account, new or known, and wake its discovery.

        Raises InvalidInput for a pair AWS refuses, after which nothing is written; Conflict when already connected.
        """
        _require_connectable(await accounts.find(self._db, account_id))
        await proof.verify_access_keys(self._aws, keys, account_id=account_id, regions=regions)
        async with self._db.transaction() as tx:
            account = await self._known_or_new(tx, account_id, name, regions)
            account = await self._connected(tx, account, keys)
        return self._started(account)

    def account_of_role(self, role_arn: str) -> str:
        """Return the 12-digit account of a role's ARN; raises InvalidInput for a malformed one."""
        return parse_role_arn(role_arn).account_id

    async def connect_role(self, *, role_arn: str) -> Account:
        """Prove the role with, without and with a wrong ExternalId, connect its account and wake its discovery.

        Raises InvalidInput for a role that is malformed, refused, or does not insist on its ExternalId: the row stays
        as it was. Raises Conflict when already connected.
        """
        known = await accounts.find(self._db, self.account_of_role(role_arn))
        if known is None:
            raise InvalidInput("the role's account is not known: create it first (POST /accounts)", field="role_arn")
        _require_connectable(known)
        grant = await self._proven_role(known, role_arn)
        async with self._db.transaction() as tx:
            account = await self._connected(tx, known, grant)
        return self._started(account)

    async def replace_keys(self, account: Account, keys: AccessKeys) -> Account:
        """Prove the pair and use it from now on; the status stays. Raises InvalidInput and keeps the old."""
        await proof.verify_access_keys(self._aws, keys, account_id=account.account_id, regions=account.regions)
        return await self._replaced(account, keys)

    async def replace_role(self, account: Account, *, role_arn: str) -> Account:
        """Prove the role and use it from now on; the status stays. Raises InvalidInput and keeps the old."""
        return await self._replaced(account, await self._proven_role(account, role_arn))

    async def verify(self, account: Account) -> Verified:
        """Prove the stored credentials again and keep the result as a condition.

        Raises Conflict for an account without credentials, AwsError when AWS could not be asked.
        """
        grant = await grant_of(self._db, self._keyring, account)
        try:
            await self._prove(account, grant)
        except InvalidInput as error:
            result = Verified(valid=False, reason="Refused", message=str(error))
        else:
            result = VERIFIED
        await self._note(self._db, account, result)
        return result

    async def policies(self, account: Account) -> Policies:
        """Return the documents for this account's ExternalId and the daemon's own identity.

        Raises AwsError while the daemon's own identity is not known.
        """
        if self._identity is None:
            self._identity = await proof.own_identity(self._aws)
        if account.external_id is None:
            raise Conflict(f"account {account.account_id} has no ExternalId")
        return policies_for(external_id=account.external_id, daemon_arn=self._identity.arn)

    async def remove(self, account: Account) -> None:
        """Delete the account with everything known of it; raises NotFound when it is gone already."""
        await accounts.delete(self._db, account.id)
        self._aws.forget(account.account_id)
        log.info("accounts.removed", account_id=account.account_id)
        self._changes.publish("account.status", account_id=account.account_id, id=account.id, status="removed")

    async def _create(self, db: Executor, account_id: str, name: str, regions: tuple[str, ...]) -> Account:
        return await accounts.create_pending(
            db,
            account_id=account_id,
            name=name,
            regions=regions,
            external_id=proof.new_external_id(),
            now=self._clock.now(),
        )

    async def _known_or_new(self, tx: Executor, account_id: str, name: str, regions: tuple[str, ...]) -> Account:
        """Return the account to connect, named and placed as asked; raises Conflict for a connected one."""
        known = await accounts.find(tx, account_id)
        if known is None:
            return await self._create(tx, account_id, name, regions)
        _require_connectable(known)
        return await accounts.set_details(tx, known.id, name=name, regions=regions or known.regions)

    async def _prove(self, account: Account, grant: Grant) -> None:
        if isinstance(grant, AccessKeys):
            await proof.verify_access_keys(self._aws, grant, account_id=account.account_id)
        else:
            await proof.verify_role(self._aws, grant)

    async def _proven_role(self, account: Account, role_arn: str) -> RoleGrant:
        if account.external_id is None:
            raise Conflict(f"account {account.account_id} has no ExternalId")
        grant = RoleGrant(role_arn=role_arn, external_id=account.external_id)
        await proof.verify_role(self._aws, grant, regions=account.regions)
        return grant

    async def _connected(self, tx: Executor, account: Account, grant: Grant) -> Account:
        """Store the grant and move the account to `connected`, in the caller's transaction."""
        await self._store_grant(tx, account, grant)
        await self._note(tx, account, VERIFIED)
        return await accounts.transition(tx, account.id, Status.CONNECTED, now=self._clock.now())

    async def _replaced(self, account: Account, grant: Grant) -> Account:
        async with self._db.transaction() as tx:
            await self._store_grant(tx, account, grant)
            await self._note(tx, account, VERIFIED)
        log.info("accounts.credentials_replaced", account_id=account.account_id)
        self._aws.forget(account.account_id)
        return await accounts.get(self._db, account.id)

    async def _store_grant(self, tx: Executor, account: Account, grant: Grant) -> None:
        """Write how the account is reached; a change of method leaves nothing of the old one behind."""
        if isinstance(grant, AccessKeys):
            sealed = seal_keys(self._keyring, account.id, grant)
            await accounts.set_connection(tx, account.id, method=ConnectionMethod.ACCESS_KEYS, secrets=sealed)
        else:
            await accounts.set_connection(tx, account.id, method=ConnectionMethod.IAM_ROLE, role_arn=grant.role_arn)

    async def _note(self, db: Executor, account: Account, result: Verified) -> None:
        condition = Condition(
            type=CREDENTIALS_VALID,
            status=result.valid,
            reason=result.reason,
            message=result.message,
            observed_at=self._clock.now(),
        )
        await accounts.set_condition(db, account.id, condition)

    def _started(self, account: Account) -> Account:
        log.info("accounts.connected", account_id=account.account_id, method=str(account.connection_method))
        self._announce(account)
        self._wake()
        return account

    def _announce(self, account: Account) -> None:
        self._changes.publish(
            "account.status", account_id=account.account_id, id=account.id, status=account.status.value
        )


async def grant_of(db: Executor, keyring: KeyRing, account: Account) -> Grant:
    """Return what the account's credentials are made from.

    Raises Conflict for an account without credentials, WrongKey when what is stored does not open for its row.
    """
    if account.connection_method is ConnectionMethod.IAM_ROLE and account.role_arn and account.external_id:
        return RoleGrant(role_arn=account.role_arn, external_id=account.external_id)
    sealed = await accounts.secrets(db, account.id)
    if account.connection_method is None or not sealed:
        raise Conflict(f"account {account.account_id} has no credentials: connect it (POST /connect)")
    return open_keys(keyring, account.id, sealed)


def seal_keys(keyring: KeyRing, account_pk: int, keys: AccessKeys) -> Mapping[str, str]:
    """Return each field's ciphertext, bound to its row and name."""
    plain = {KEY_ID: keys.access_key_id, KEY_SECRET: keys.secret_access_key}
    return {field: keyring.seal(text.encode(), context=_place(account_pk, field)) for field, text in plain.items()}


def open_keys(keyring: KeyRing, account_pk: int, sealed: Mapping[str, str]) -> AccessKeys:
    """Return the pair that was sealed for this row; raises WrongKey for anything else."""
    opened = {
        field: keyring.open(sealed[field], context=_place(account_pk, field)).decode() for field in (KEY_ID, KEY_SECRET)
    }
    return AccessKeys(access_key_id=opened[KEY_ID], secret_access_key=opened[KEY_SECRET])


def _place(account_pk: int, field: str) -> str:
    return f"accounts/{account_pk}/{field}"


def _require_connectable(account: Account | None) -> None:
    if account is not None and account.status not in CONNECTABLE:
        raise Conflict(
            f"account {account.account_id} is {account.status} already: replace its credentials "
            f"(PUT /accounts/{account.id}/credentials) or remove it first"
        )

"""Accounts: create, connect, read, discover, replace credentials, verify, delete."""

import structlog

from spotd.api import views
from spotd.api.access import Scope
from spotd.api.bodies import Connect, ConnectKeys, CreateAccount, Page, Replace, ReplaceKeys
from spotd.api.lookup import account_of
from spotd.api.problems import unprocessable
from spotd.api.routing import BASE, LISTED, Answer, Call, NoQuery, Route
from spotd.api.services import Onboarding
from spotd.api.wire import (
    AccountView,
    Connected,
    CreatedAccount,
    Listing,
    PolicyDocuments,
    Started,
    VerificationView,
)
from spotd.aws.errors import AwsError
from spotd.model.account import AccessKeys, Account
from spotd.store import accounts

log = structlog.get_logger(__name__)


async def create_account(call: Call[NoQuery, CreateAccount]) -> Answer:
    """Create a pending account and hand out the policies that its owner needs."""
    body = call.body
    call.principal.require(body.account_id)
    account = await call.services.onboarding.create_pending(
        account_id=body.account_id, name=body.name, regions=body.regions
    )
    created = CreatedAccount(
        id=account.id,
        account_id=account.account_id,
        external_id=account.external_id,
        status=account.status,
        policies=await _policies_if_known(call.services.onboarding, account),
    )
    return Answer(value=created, headers=_location(account))


async def connect_account(call: Call[NoQuery, Connect]) -> Answer:
    """Validate credentials, connect the account and start its discovery in the background."""
    body, onboarding = call.body, call.services.onboarding
    if isinstance(body, ConnectKeys):
        call.principal.require(body.account_id)
        account = await onboarding.connect_keys(
            account_id=body.account_id, name=body.name, keys=_keys(body), regions=body.regions
        )
    else:
        owner = onboarding.account_of_role(body.role_arn)
        call.principal.require(owner)
        _same_account(owner, body.account_id)
        account = await onboarding.connect_role(role_arn=body.role_arn)
    return Answer(value=Connected(), headers=_location(account))


async def list_accounts(call: Call[Page, None]) -> Listing[AccountView]:
    """List accounts, in the order of their ids."""
    query, only = call.query, call.principal.account
    if only is not None:
        found = await accounts.find(call.services.db, only)
        return Listing(items=(views.account(found),) if found else ())
    page = await accounts.list_page(call.services.db, limit=query.limit, cursor=query.cursor)
    return Listing(items=tuple(map(views.account, page.items)), next_cursor=page.next_cursor)


async def get_account(call: Call[NoQuery, None]) -> AccountView:
    """Show one account."""
    return views.account(await account_of(call))


async def delete_account(call: Call[NoQuery, None]) -> None:
    """Disconnect an account and delete everything known of it."""
    await call.services.onboarding.remove(await account_of(call))


async def discover_account(call: Call[NoQuery, None]) -> Started:
    """Scan an account anew, now; its status stays."""
    await call.services.discover(await account_of(call))
    return Started()


async def replace_credentials(call: Call[NoQuery, Replace]) -> AccountView:
    """Validate new credentials and use them from now on; refused ones leave the old in use."""
    account, body = await account_of(call), call.body
    _same_account(account.account_id, body.account_id)
    onboarding = call.services.onboarding
    if isinstance(body, ReplaceKeys):
        return views.account(await onboarding.replace_keys(account, _keys(body)))
    _same_account(account.account_id, onboarding.account_of_role(body.role_arn), pointer="/role_arn")
    return views.account(await onboarding.replace_role(account, role_arn=body.role_arn))


async def verify_account(call: Call[NoQuery, None]) -> VerificationView:
    """Prove an account's stored credentials again."""
    result = await call.services.onboarding.verify(await account_of(call))
    return VerificationView(valid=result.valid, reason=result.reason, message=result.message)


async def get_policies(call: Call[NoQuery, None]) -> PolicyDocuments:
    """Hand out the trust and permission policies of an account's role."""
    return views.policies(await call.services.onboarding.policies(await account_of(call)))


async def _policies_if_known(onboarding: Onboarding, account: Account) -> PolicyDocuments | None:
    """The account is created even while the daemon's own identity is missing; keys need no policies."""
    try:
        return views.policies(await onboarding.policies(account))
    except AwsError as error:
        log.warning("accounts.policies_unknown", account_id=account.account_id, error=str(error))
        return None


def _keys(body: ConnectKeys | ReplaceKeys) -> AccessKeys:
    return AccessKeys(access_key_id=body.access_key_id, secret_access_key=body.secret_access_key)


def _same_account(owner: str, given: str | None, *, pointer: str = "/account_id") -> None:
    if given is not None and given != owner:
        raise unprocessable(pointer, f"the credentials are for {given}, the account is {owner}")


def _location(account: Account) -> dict[str, str]:
    return {"Location": f"{BASE}/accounts/{account.id}"}


ACCOUNT = f"{BASE}/accounts/{{account}}"
WITH_AWS = (409, 502)
ROUTES = (
    Route(
        method="POST",
        path=f"{BASE}/accounts",
        handler=create_account,
        scope=Scope.ACCOUNTS,
        body=CreateAccount,
        response=CreatedAccount,
        status=201,
        refusals=WITH_AWS,
    ),
    Route(
        method="POST",
        path=f"{BASE}/connect",
        alias="/connect",
        handler=connect_account,
        scope=Scope.ACCOUNTS,
        body=Connect,
        response=Connected,
        refusals=WITH_AWS,
    ),
    Route(
        method="GET",
        path=f"{BASE}/accounts",
        handler=list_accounts,
        scope=Scope.READ,
        query=Page,
        response=Listing[AccountView],
        media=LISTED,
    ),
    Route(method="GET", path=ACCOUNT, handler=get_account, scope=Scope.READ, response=AccountView),
    Route(method="DELETE", path=ACCOUNT, handler=delete_account, scope=Scope.ACCOUNTS, status=204),
    Route(
        method="POST",
        path=f"{ACCOUNT}/discover",
        handler=discover_account,
        scope=Scope.ACCOUNTS,
        response=Started,
        status=202,
        refusals=(409,),
    ),
    Route(
        method="PUT",
        path=f"{ACCOUNT}/credentials",
        handler=replace_credentials,
        scope=Scope.ACCOUNTS,
        body=Replace,
        response=AccountView,
        refusals=WITH_AWS,
    ),
    Route(
        method="POST",
        path=f"{ACCOUNT}/verify",
        handler=verify_account,
        scope=Scope.ACCOUNTS,
        response=VerificationView,
        refusals=WITH_AWS,
    ),
    Route(
        method="GET",
        path=f"{ACCOUNT}/policies",
        handler=get_policies,
        scope=Scope.READ,
        response=PolicyDocuments,
        refusals=WITH_AWS,
    ),
)

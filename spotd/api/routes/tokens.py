"""Tokens: create, list, revoke."""

from spotd.api.access import Scope
from spotd.api.bodies import CreateToken, Page
from spotd.api.lookup import integer_of
from spotd.api.problems import unprocessable
from spotd.api.routing import BASE, LISTED, Answer, Call, NoQuery, Route
from spotd.api.tokens import TokenBook, digest_of, new_token
from spotd.api.wire import CreatedToken, Listing, TokenView
from spotd.errors import NotFound
from spotd.store import tokens
from spotd.store.tokens import Token


class TokenRoutes:
    """The tokens' handlers."""

    def __init__(self, book: TokenBook) -> None:
        self._book = book

    async def create_token(self, call: Call[NoQuery, CreateToken]) -> Answer:
        """Create a token; its secret is shown this once."""
        body, secret, now = call.body, new_token(), call.services.clock.now()
        if body.account_id is not None and "admin" in body.scopes:
            raise unprocessable("/account_id", "a token limited to one account cannot hold `admin`")
        if body.expires_at is not None and body.expires_at <= now:
            raise unprocessable("/expires_at", "the time has passed")
        made = await tokens.create(
            call.services.db,
            name=body.name,
            digest=digest_of(secret),
            scopes=tuple(sorted(set(body.scopes))),
            account_id=body.account_id,
            expires_at=body.expires_at,
            now=now,
        )
        return Answer(value=_created(made, secret), headers={"Location": f"{BASE}/tokens/{made.id}"})

    async def list_tokens(self, call: Call[Page, None]) -> Listing[TokenView]:
        """List tokens, without their secrets."""
        page = await tokens.list_page(call.services.db, limit=call.query.limit, cursor=call.query.cursor)
        return Listing(items=tuple(map(_view, page.items)), next_cursor=page.next_cursor)

    async def revoke_token(self, call: Call[NoQuery, None]) -> None:
        """Revoke a token at once."""
        if not await tokens.delete(call.services.db, integer_of(call.path["id"])):
            raise NotFound("There is no such token.")
        self._book.forget()


def _view(token: Token) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        account_id=token.account_id,
        created_at=token.created_at,
        expires_at=token.expires_at,
    )


def _created(token: Token, secret: str) -> CreatedToken:
    view = _view(token)
    return CreatedToken(
        id=view.id,
        name=view.name,
        scopes=view.scopes,
        account_id=view.account_id,
        created_at=view.created_at,
        expires_at=view.expires_at,
        token=secret,
    )


def routes(book: TokenBook) -> tuple[Route, ...]:
    """Return the tokens' routes."""
    handlers = TokenRoutes(book)
    path = f"{BASE}/tokens"
    return (
        Route(
            method="POST",
            path=path,
            handler=handlers.create_token,
            scope=Scope.ADMIN,
            body=CreateToken,
            response=CreatedToken,
            status=201,
            wide=True,
        ),
        Route(
            method="GET",
            path=path,
            handler=handlers.list_tokens,
            scope=Scope.ADMIN,
            query=Page,
            response=Listing[TokenView],
            media=LISTED,
            wide=True,
        ),
        Route(
            method="DELETE",
            path=f"{path}/{{id}}",
            handler=handlers.revoke_token,
            scope=Scope.ADMIN,
            status=204,
            wide=True,
        ),
    )

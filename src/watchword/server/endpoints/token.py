"""`POST /token` (RFC 6749 §3.2)."""

from collections.abc import Callable
from typing import Protocol

from watchword.authority.requests import TokenAnswer, TokenRequest
from watchword.server.answer import Answer, json_answer
from watchword.server.form import read_form
from watchword.server.request import Request


class IssuesTokens(Protocol):
    """The use-case behind the endpoint."""

    async def token(self, request: TokenRequest) -> TokenAnswer:
        """Answer one token request, or raise the `OAuthError` that refuses it."""
        ...


class TokenEndpoint:
    """Reads the form, asks the authority, answers.

    Args:
        authority: issues.
        count: told the grant type of each token that was issued.
    """

    __slots__ = ("_authority", "_count")

    def __init__(self, authority: IssuesTokens, *, count: Callable[[str], None] | None = None) -> None:
        self._authority = authority
        self._count = count

    async def __call__(self, request: Request) -> Answer:
        """Answer a token request (RFC 6749 §5.1)."""
        parameters = await read_form(request)
        asked = TokenRequest(parameters, request.header(b"authorization"), request.id)
        given = await self._authority.token(asked)
        if self._count is not None:
            self._count(next(value for name, value in parameters if name == "grant_type"))
        members = {
            "access_token": given.access_token,
            "token_type": given.token_type,
            "expires_in": given.expires_in,
            "scope": given.scope,
        }
        if given.issued_token_type is not None:
            members["issued_token_type"] = given.issued_token_type
        return json_answer(members)

"""`POST /introspect` (RFC 7662 §2)."""

from collections.abc import Mapping
from typing import Any, Protocol

from watchword.authority.requests import TokenRequest
from watchword.server.answer import Answer, json_answer
from watchword.server.form import read_form
from watchword.server.request import Request


class Introspects(Protocol):
    """The use-case behind the endpoint."""

    async def introspect(self, request: TokenRequest) -> Mapping[str, Any]:
        """Return the members of the answer, or raise the `OAuthError` that refuses it."""
        ...


class IntrospectEndpoint:
    """Reads the form, asks the authority, answers."""

    __slots__ = ("_authority",)

    def __init__(self, authority: Introspects) -> None:
        self._authority = authority

    async def __call__(self, request: Request) -> Answer:
        """Answer whether a token is active for the service that asks (RFC 7662 §2.2)."""
        parameters = await read_form(request)
        asked = TokenRequest(parameters, request.header(b"authorization"), request.id)
        return json_answer(await self._authority.introspect(asked))

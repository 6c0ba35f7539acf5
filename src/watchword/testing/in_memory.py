"""An issuer's HTTP endpoints without HTTP: metadata, JWK Set, token exchange."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from watchword.client.endpoint import TOKEN_EXCHANGE, TOKEN_TYPES
from watchword.errors import FetchFailed
from watchword.fetch import Request, Response, Transport
from watchword.tokens import base64url, strict_json

METADATA, JWKS, TOKEN = "/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/token"


class InMemoryTransport(Transport):
    """Reaches one issuer by calling a function, and nothing else at all."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        super().__init__()
        self._answer = answer

    def send(self, request: Request, deadline: float) -> Response:
        """Answer at once.

        Raises:
            FetchFailed: the issuer is down, or something else is asked for.
        """
        return self._answer(request)


def json_answer(status: int, members: Mapping[str, Any]) -> Response:
    """Return an answer with a JSON object."""
    return Response(status, {"content-type": "application/json"}, strict_json.encode(dict(members)))


def metadata(url: str) -> Response:
    """Return the issuer's metadata (RFC 8414)."""
    return json_answer(
        200,
        {
            "issuer": url,
            "jwks_uri": url + JWKS,
            "token_endpoint": url + TOKEN,
            "response_types_supported": [],
            "grant_types_supported": [TOKEN_EXCHANGE, "client_credentials"],
        },
    )


class Asked(NamedTuple):
    """What a client asks the token endpoint for."""

    client_id: str
    audience: str | None
    scope: frozenset[str]
    subject: Mapping[str, Any] | None
    """The claims of the subject token; `None`: the client asks for itself."""

    @classmethod
    def of(cls, request: Request) -> "Asked":
        """Read a request; who the client says that it is, is believed."""
        form = dict(parse_qsl((request.body or b"").decode("ascii")))
        token = form.get("subject_token")
        return cls(
            form.get("client_id") or _basic(request.headers.get("Authorization", "")),
            form.get("audience", form.get("resource")),
            frozenset(form.get("scope", "").split()),
            None
            if token is None
            else strict_json.decode_object(base64url.decode(token.split(".")[1].encode())),
        )


def granted(token: str, scope: frozenset[str], lifetime: int) -> Response:
    """Return the answer that brings a token (RFC 8693 §2.2.1)."""
    return json_answer(
        200,
        {
            "access_token": token,
            "issued_token_type": TOKEN_TYPES["access_token"],
            "token_type": "Bearer",
            "expires_in": lifetime,
            "scope": " ".join(sorted(scope)),
        },
    )


def denied(error: str) -> Response:
    """Return the answer that says no (RFC 6749 §5.2)."""
    return json_answer(400, {"error": error})


def not_there(request: Request) -> FetchFailed:
    """Return the error for a URL that the issuer does not have."""
    return FetchFailed(f"the issuer in memory has no {request.url}, and there is no network")


def _basic(authorization: str) -> str:
    try:
        pair = base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode("ascii")
    except ValueError:
        return ""
    return unquote(pair.partition(":")[0])

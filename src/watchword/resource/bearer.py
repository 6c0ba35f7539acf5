"""The credential of a request and the answer to a bad one (RFC 6750, RFC 9457)."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from watchword.errors import (
    BearerMalformed,
    CalleeFailed,
    CalleeTimeout,
    CalleeUnreachable,
    ExchangeDenied,
    InsufficientScope,
    KeysUnavailable,
    OAuthError,
    RoleRequired,
    StoreUnavailable,
    TokenEndpointUnreachable,
    TokenError,
    TokenMissing,
    WatchwordError,
)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER = "5"

# RFC 6750 §2.1: credentials = "Bearer" 1*SP b64token; the scheme without case (RFC 9110 §11.1)
_CREDENTIALS = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)")
_SCHEME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]*")


def bearer_token(authorization: Sequence[str]) -> str:
    """Return the one bearer token of a request; queries and forms are never looked at (RFC 9700 §4.3.2).

    Args:
        authorization: the value of every `Authorization` header, in order.

    Raises:
        TokenMissing: there is none, or it is of another scheme: the client did not know (RFC 6750 §3.1).
        BearerMalformed: there are several, or one that is no bearer token.
    """
    if isinstance(authorization, str | bytes):
        raise TypeError("expected the values of all Authorization headers, found one text")
    if not authorization:
        raise TokenMissing("expected an Authorization header, found none")
    if len(authorization) > 1:
        raise BearerMalformed(f"expected one Authorization header, found {len(authorization)}")
    value = authorization[0].strip(" \t")
    scheme = _SCHEME.match(value)
    if not value:
        raise BearerMalformed("expected Bearer and a token, found an empty Authorization header")
    if scheme is None or scheme[0].lower() != "bearer":
        raise TokenMissing("expected the Bearer scheme, found another")
    match = _CREDENTIALS.fullmatch(value)
    if match is None:
        raise BearerMalformed("expected Bearer and exactly one token after it")
    return match[1]


class Refusal(NamedTuple):
    """A response that says no: the same in every framework."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    """An RFC 9457 problem document with the stable `code` of the error."""


def challenge(error: Exception, *, realm: str | None = None, resource_metadata: str | None = None) -> Refusal:
    """Return the response for an error; only its fixed public text, its code and the scopes asked for leave.

    Args:
        error: a `WatchwordError`; anything else is a 500 without a word about it.
        realm: the `realm` of the challenge.
        resource_metadata: URL of the protected resource metadata (RFC 9728 §5.1).
    """
    status, code, parameters = _classify(error)
    headers = [("Content-Type", PROBLEM_TYPE), ("Cache-Control", "no-store")]
    if status in (400, 401, 403) and parameters is not None:
        known = {"realm": realm, **parameters, "resource_metadata": resource_metadata}
        fields = ", ".join(f'{name}="{_quoted(text)}"' for name, text in known.items() if text)
        headers.append(("WWW-Authenticate", f"Bearer {fields}".rstrip()))
    if status == 503:
        headers.append(("Retry-After", RETRY_AFTER))
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": error.public if isinstance(error, WatchwordError) else WatchwordError.public,
        "code": code,
    }
    if isinstance(error, InsufficientScope):
        document["scope"] = " ".join(error.required)
    return Refusal(status, tuple(headers), msgspec.json.encode(document))


def _classify(error: Exception) -> tuple[int, str, dict[str, str] | None]:
    """Return status, stable code and the parameters of the challenge (`None`: no challenge)."""
    code = error.code if isinstance(error, WatchwordError) else "internal_error"
    if isinstance(error, TokenMissing):
        return 401, code, {}
    if isinstance(error, BearerMalformed):
        return 400, code, {"error": "invalid_request", "error_description": error.public}
    if isinstance(error, TokenError):
        return 401, code, {"error": "invalid_token", "error_description": error.public}
    if isinstance(error, InsufficientScope):
        return 403, code, _scope_wanted(error.public, " ".join(error.required))
    if isinstance(error, RoleRequired):
        return 403, code, _scope_wanted(error.public, "")
    if isinstance(error, KeysUnavailable | TokenEndpointUnreachable | StoreUnavailable):
        return 503, code, None
    if isinstance(error, CalleeTimeout):
        return 504, code, None
    if isinstance(error, CalleeFailed | CalleeUnreachable):
        return 502, code, None
    if isinstance(error, ExchangeDenied):
        # what the caller's own token does not allow is the caller's matter; the rest is between the services
        return 403 if error.error in ("invalid_scope", "invalid_grant") else 502, code, None
    if isinstance(error, OAuthError):
        return error.status, code, None
    return 500, code, None


def _scope_wanted(description: str, scope: str) -> dict[str, str]:
    return {"error": "insufficient_scope", "error_description": description, "scope": scope}


def _quoted(text: str) -> str:
    """Return text as the inside of a quoted string: what could end it or start another header is left out."""
    return re.sub(r"[^\x20\x21\x23-\x5B\x5D-\x7E]", "", text)

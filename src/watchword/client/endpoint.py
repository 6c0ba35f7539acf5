"""What is said to a token endpoint and what it answers; no I/O (RFC 6749 §4.4 and §5, RFC 8693 §2)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn
from urllib.parse import urlencode

from watchword.client.authentication import ClientAuthentication, Form
from watchword.errors import ExchangeDenied, TokenEndpointUnreachable, TokenMalformed
from watchword.fetch import Flow, Request, Response
from watchword.tokens import strict_json
from watchword.tokens.jws import MAX_TOKEN_LENGTH

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TOKEN_TYPES = {
    "access_token": "urn:ietf:params:oauth:token-type:access_token",
    "jwt": "urn:ietf:params:oauth:token-type:jwt",
}
_SUBJECT_TYPES = TOKEN_TYPES | {"id_token": "urn:ietf:params:oauth:token-type:id_token"}
LONGEST_LIFE = 24 * 3600.0
_UNSAID_LIFE = 60.0  # RFC 6749 §5.1 only recommends expires_in; without it nothing is kept for long

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_ERROR = re.compile(r"[\x20\x21\x23-\x5B\x5D-\x7E]{1,64}")
_REQUEST_ID = re.compile(r"[\x21-\x7E]{1,128}")


@dataclass(frozen=True, slots=True)
class Target:
    """The service that a token shall be for."""

    callee: str
    """What we call it, in settings and in errors."""
    audience: str | None = None
    resource: str | None = None
    """RFC 8707: its URL, for servers that know services by URL."""
    scope: frozenset[str] = frozenset()
    """Empty: all that the rules give."""


@dataclass(frozen=True, slots=True)
class SubjectToken:
    """The token that is exchanged."""

    text: str = field(repr=False)
    kind: Literal["access_token", "jwt", "id_token"]
    expires_at: float


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A token from a token endpoint."""

    access_token: str = field(repr=False)
    expires_in: float
    """Seconds from now."""
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """The token endpoint of one issuer, as one client sees it.

    Args:
        issuer: the issuer identifier; `aud` of client assertions.
        locate: finds the endpoint's URL, from metadata or from the configuration.
        client: who is asking, with the proof.
        requested_token_type: sent with an exchange where a server wants it said; ours does not.
    """

    issuer: str
    locate: Callable[[], Flow[str]]
    client: ClientAuthentication
    requested_token_type: Literal["access_token", "jwt"] | None = None

    def exchange(self, subject: SubjectToken, target: Target, now: float) -> Flow[TokenAnswer]:
        """Exchange a subject token for one meant for `target` (RFC 8693 §2.1)."""
        form: Form = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", subject.text),
            ("subject_token_type", _SUBJECT_TYPES[subject.kind]),
        ]
        if self.requested_token_type is not None:
            form.append(("requested_token_type", TOKEN_TYPES[self.requested_token_type]))
        response = yield from self._ask(form, target, now)
        answer = self._read(response, target)
        if answer.get("issued_token_type") not in TOKEN_TYPES.values():
            _not_understood(target, "issued_token_type is neither access_token nor jwt (RFC 8693 §2.2.1)")
        return _token(answer, target)

    def client_credentials(self, target: Target, now: float) -> Flow[TokenAnswer]:
        """Ask for a token of the client itself (RFC 6749 §4.4)."""
        response = yield from self._ask([("grant_type", "client_credentials")], target, now)
        return _token(self._read(response, target), target)

    def _ask(self, form: Form, target: Target, now: float) -> Flow[Response]:
        url = yield from self.locate()
        if target.audience is not None:
            form.append(("audience", target.audience))
        if target.resource is not None:
            form.append(("resource", target.resource))
        if target.scope:
            form.append(("scope", " ".join(sorted(target.scope))))
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        self.client.authenticate(form, headers, issuer=self.issuer, now=now)
        return (yield Request("POST", url, headers, urlencode(form).encode("ascii")))

    def _read(self, response: Response, target: Target) -> Mapping[str, Any]:
        """Return the members of a good answer.

        Raises:
            ExchangeDenied: the server understood and said no (RFC 6749 §5.2).
            TokenEndpointUnreachable: it did not, or not in a way that can be understood.
        """
        if response.status not in (200, 400, 401, 403):
            _not_understood(target, f"it answered with status {response.status}")
        try:
            members = strict_json.decode_object(response.body)
        except TokenMalformed:
            _not_understood(target, f"status {response.status} came without a JSON object")
        if response.status == 200:
            return members
        error = members.get("error")
        if not isinstance(error, str) or not _ERROR.fullmatch(error):
            _not_understood(target, f"status {response.status} came without an error code (RFC 6749 §5.2)")
        request_id = response.headers.get("x-request-id", "")
        known_id = request_id if _REQUEST_ID.fullmatch(request_id) else None
        # 401 is about the client whatever it is called: Keycloak says unauthorized_client to a wrong secret
        door = _door("invalid_client" if response.status == 401 else error, target, self.client.client_id)
        raise ExchangeDenied(
            f"the token server refused a token for {target.callee}: {error}; {door}"
            + (f" (request {known_id})" if known_id else ""),
            error=error,
            callee=target.callee,
            request_id=known_id,
            door=door,
        )


def _door(error: str, target: Target, client_id: str) -> str:
    """Return what to do about a refusal: whose door to knock at."""
    callee = target.callee
    if error in ("invalid_target", "unauthorized_client"):
        return (
            f"the owner of {callee} must allow {client_id}:"
            f' [[services.{callee}.allow]] caller = "{client_id}"'
        )
    if error == "invalid_scope":
        wanted = f" ({' '.join(sorted(target.scope))})" if target.scope else ""
        return (
            f"no rule of {callee} gives {client_id} these scopes{wanted} for this caller;"
            f" ask the owner of {callee} to widen [[services.{callee}.allow]]"
        )
    if error == "invalid_client":
        return f"the server does not know {client_id} by this proof; check CLIENT_ID and what is registered"
    if error in ("invalid_request", "invalid_grant", "access_denied"):
        return "the caller's token cannot be exchanged here: expired, revoked, or meant for another audience"
    return "the server's log has the reason"


def _token(answer: Mapping[str, Any], target: Target) -> TokenAnswer:
    """Read a successful answer strictly (RFC 6749 §5.1)."""
    token, kind, lifetime = (
        answer.get("access_token"),
        answer.get("token_type"),
        answer.get("expires_in", _UNSAID_LIFE),
    )
    if not isinstance(token, str) or len(token) > MAX_TOKEN_LENGTH or not _TOKEN.fullmatch(token):
        _not_understood(target, "access_token is no bearer token (RFC 6750 §2.1)")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        _not_understood(target, "token_type is not Bearer")
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not lifetime > 0:
        _not_understood(target, "expires_in is no positive number of seconds")
    scope = answer.get("scope")
    return TokenAnswer(token, min(float(lifetime), LONGEST_LIFE), scope if isinstance(scope, str) else None)


def _not_understood(target: Target, why: str) -> NoReturn:
    raise TokenEndpointUnreachable(
        f"no token for {target.callee} could be had from the token endpoint: {why}"
    )

"""What a token endpoint answers (RFC 6749 §5.2)."""

from typing import ClassVar

from watchword.errors.root import WatchwordError


class OAuthError(WatchwordError):
    """What a token endpoint answers; `error` is the RFC code on the wire, the message stays here."""

    code = "oauth_error"
    error: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 400
    public = "the request was refused"


class InvalidRequest(OAuthError):
    """A parameter is missing, repeated or malformed."""

    code = error = "invalid_request"
    public = "the request is malformed"


class InvalidClient(OAuthError):
    """Client authentication failed (RFC 6749 §5.2)."""

    code = error = "invalid_client"
    status = 401
    public = "client authentication failed"


class InvalidGrant(OAuthError):
    """The code, assertion or refresh token is not valid."""

    code = error = "invalid_grant"
    public = "the grant is not valid"


class UnauthorizedClient(OAuthError):
    """The client may not use this grant type."""

    code = error = "unauthorized_client"
    public = "the client may not use this grant type"


class UnsupportedGrantType(OAuthError):
    """No such grant type here."""

    code = error = "unsupported_grant_type"
    public = "the grant type is not supported"


class InvalidScope(OAuthError):
    """None of the requested scopes may be given."""

    code = error = "invalid_scope"
    public = "the requested scope cannot be granted"


class InvalidTarget(OAuthError):
    """The audience is unknown, or no rule lets this client call it (RFC 8693 §2.2.2)."""

    code = error = "invalid_target"
    public = "the requested audience is not allowed for this client"


class TemporarilyUnavailable(OAuthError):
    """The server cannot do it now; the same request may succeed later."""

    code = error = "temporarily_unavailable"
    status = 503
    public = "the service is temporarily unavailable"


class TooManyRequests(OAuthError):
    """A client or a network asks more often than it may (RFC 6585 §4).

    `retry_after` is how many seconds it should wait. No RFC names a code of its own for this at a token
    endpoint, so the body says what it means: not now.
    """

    code = "too_many_requests"
    error = "temporarily_unavailable"
    status = 429
    public = "too many requests"

    def __init__(self, message: str, *, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message)


# RFC 6749 §5.2, RFC 8693 §2.2.2: a subject token that cannot be exchanged is an invalid request
_REASONS = {
    "invalid_target": "rule",
    "unauthorized_client": "rule",
    "invalid_scope": "scope",
    "invalid_client": "client",
    "invalid_request": "subject_token",
    "invalid_grant": "subject_token",
}


class ExchangeDenied(OAuthError):
    """A token server refused an exchange; raised by the SDK.

    `error` is the server's RFC code, `reason` what that means here: no `rule` allows it, the `scope` is not
    given, the `client` is not known, the `subject_token` cannot be exchanged, or something `other`. `callee`
    is the service that was asked for, `door` says what to do and whose matter that is, `request_id` is the
    server's `X-Request-Id`, under which its operator finds more.
    """

    code = "exchange_denied"

    def __init__(
        self, message: str, *, error: str, callee: str, request_id: str | None = None, door: str = ""
    ) -> None:
        self.error = error  # type: ignore[misc]  # per answer here, per class in the server's own errors
        self.reason = _REASONS.get(error, "other")
        self.callee = callee
        self.door = door
        self.request_id = request_id
        super().__init__(message)

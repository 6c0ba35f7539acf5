"""The request, not the token, is at fault; or nothing can be verified now."""

from collections.abc import Sequence

from watchword.errors.root import WatchwordError


class BearerError(WatchwordError):
    """The request does not carry exactly one acceptable credential (RFC 6750 §3.1)."""

    code = "bearer_refused"
    public = "the request was not authorized"


class TokenMissing(BearerError):
    """No credential at all: 401 with a bare challenge."""

    code = "token_missing"
    public = "an access token is required"


class BearerMalformed(BearerError):
    """Two credentials, another scheme's syntax, or an empty token."""

    code = "bearer_malformed"
    public = "the Authorization header is malformed"


class InsufficientScope(BearerError):
    """The token is genuine but does not hold the scopes asked for."""

    code = "insufficient_scope"
    public = "the access token does not hold the required scope"

    def __init__(self, message: str, *, required: Sequence[str] = ()) -> None:
        self.required: tuple[str, ...] = tuple(required)
        super().__init__(message)


class RoleRequired(BearerError):
    """The token is genuine but its subject does not have the role asked for."""

    code = "role_required"
    public = "the subject does not have the required role"


class KeysUnavailable(WatchwordError):
    """The issuer's keys cannot be had now and none are cached: a fault of ours, not of the token."""

    code = "keys_unavailable"
    public = "the access token cannot be verified at the moment"

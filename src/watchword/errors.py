"""Every exception of Watchword, and nothing else.

```
WatchwordError
├── ConfigurationError          configuration_invalid        settings, all mistakes at once
├── TokenError                  a presented token is refused (RFC 6750: 401 invalid_token)
│   ├── TokenMalformed          token_malformed
│   ├── AlgorithmNotAllowed     token_algorithm_not_allowed
│   ├── TypeNotAllowed          token_type_not_allowed
│   ├── KeyUnknown              token_key_unknown
│   ├── KeyUnusable             token_key_unusable
│   ├── SignatureInvalid        token_signature_invalid
│   ├── ClaimInvalid            token_claim_invalid
│   ├── IssuerNotTrusted        token_issuer_not_trusted
│   ├── AudienceMismatch        token_audience_mismatch
│   ├── TokenExpired            token_expired
│   ├── TokenNotYetValid        token_not_yet_valid
│   ├── ProofRequired           token_proof_required
│   └── KeySetInvalid           key_set_invalid
├── BearerError                 the request, not the token, is at fault
│   ├── TokenMissing            token_missing                401 without an error code (RFC 6750 §3.1)
│   ├── BearerMalformed         bearer_malformed             400 invalid_request
│   ├── InsufficientScope       insufficient_scope           403
│   └── RoleRequired            role_required                403
├── KeysUnavailable             keys_unavailable             the issuer's keys cannot be had now: 503
├── OAuthError                  what a token endpoint answers (RFC 6749 §5.2)
│   ├── InvalidRequest          invalid_request
│   ├── InvalidClient           invalid_client
│   ├── InvalidGrant            invalid_grant
│   ├── UnauthorizedClient      unauthorized_client
│   ├── UnsupportedGrantType    unsupported_grant_type
│   ├── InvalidScope            invalid_scope
│   ├── InvalidTarget           invalid_target               RFC 8693 §2.2.2, RFC 8707 §2
│   ├── TemporarilyUnavailable  temporarily_unavailable
│   └── ExchangeDenied          exchange_denied              the SDK's side: the server said no
├── OutboundError               a call to another service did not leave
│   ├── DestinationRefused      destination_refused          another origin, or plain http off loopback
│   ├── FetchFailed             fetch_failed                 a request of the SDK's own got no whole answer
│   ├── TokenEndpointUnreachable token_endpoint_unreachable
│   ├── CalleeUnreachable       callee_unreachable           502
│   ├── CalleeTimeout           callee_timeout               504
│   └── CalleeFailed            callee_failed                502: it answered with an error
├── TrustError                  trust_document_invalid       all mistakes at once, table and key named
├── KeyringError
│   ├── NoActiveKey             no_active_key
│   ├── KeyRejected             key_rejected                 weak, sample, or of the wrong kind
│   ├── KeyringConflict         keyring_conflict             somebody else changed it first
│   └── KeyFileUnsafe           key_file_unsafe              readable by others, a link, a foreign owner
├── StoreError
│   ├── StoreUnavailable        store_unavailable            disk full, locked, read-only: try again
│   ├── AlreadyConsumed         already_consumed             a single-use value came twice
│   └── StoreCorrupt            store_corrupt                a migration or a record is not what it must be
└── NoCaller                    no_caller                    an outbound call outside any request
```

Two audiences per error: `public` is a fixed text that a stranger may read; `str(error)` is for the
operator: what was expected and what was found. Neither ever holds a token, a key or a secret.
"""

from collections.abc import Sequence
from typing import ClassVar


class WatchwordError(Exception):
    """The root: catch this to catch everything that Watchword raises on purpose."""

    code: ClassVar[str] = "watchword_error"
    public: ClassVar[str] = "the request could not be completed"


class _Problems(WatchwordError):
    """An error that reports every mistake at once, so that one edit mends them all."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))


class ConfigurationError(_Problems):
    """Settings that cannot work; `problems` lists every one of them."""

    code = "configuration_invalid"
    public = "the service is not configured correctly"


class TokenError(WatchwordError):
    """A token that must not be accepted; the leaf says which check refused it."""

    code = "token_refused"
    public = "the access token is not valid"


class TokenMalformed(TokenError):
    """Not a compact JWS of UTF-8 JSON objects with unique members (RFC 7515 §3, RFC 8725 §2.4)."""

    code = "token_malformed"
    public = "the access token is malformed"


class AlgorithmNotAllowed(TokenError):
    """The header names an algorithm outside the configured list (RFC 8725 §3.1)."""

    code = "token_algorithm_not_allowed"


class TypeNotAllowed(TokenError):
    """The `typ` is not one that this verifier accepts (RFC 9068 §4, RFC 8725 §3.11)."""

    code = "token_type_not_allowed"


class KeyUnknown(TokenError):
    """No key of the issuer has this `kid`."""

    code = "token_key_unknown"

    def __init__(self, message: str, *, kid: str | None = None) -> None:
        self.kid = kid
        super().__init__(message)


class KeyUnusable(TokenError):
    """The named key exists but must not verify this token: weak, ambiguous, for another algorithm."""

    code = "token_key_unusable"


class SignatureInvalid(TokenError):
    """The signature does not match; nothing in the token may be believed."""

    code = "token_signature_invalid"


class ClaimInvalid(TokenError):
    """A claim is missing or has the wrong type (RFC 9068 §2.2)."""

    code = "token_claim_invalid"


class IssuerNotTrusted(TokenError):
    """`iss` is not the configured issuer, compared as exact text."""

    code = "token_issuer_not_trusted"


class AudienceMismatch(TokenError):
    """The token is meant for somebody else (RFC 7519 §4.1.3)."""

    code = "token_audience_mismatch"
    public = "the access token is not meant for this service"


class TokenExpired(TokenError):
    """`exp` has passed."""

    code = "token_expired"
    public = "the access token has expired"


class TokenNotYetValid(TokenError):
    """`nbf` or `iat` lies in the future beyond the leeway."""

    code = "token_not_yet_valid"


class ProofRequired(TokenError):
    """The token is bound to a key (`cnf`) and came without the proof (RFC 9449 §7.2, RFC 8705 §3)."""

    code = "token_proof_required"


class KeySetInvalid(TokenError):
    """A document that is no JWK Set, or one that must not be used at all (RFC 7517 §5)."""

    code = "key_set_invalid"


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
    """This client may not use this grant type."""

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


class ExchangeDenied(OAuthError):
    """A token server refused an exchange; raised by the SDK.

    `error` is the server's RFC code, `callee` the service that was asked for, `request_id` the
    server's `X-Request-Id`, under which its operator finds the reason.
    """

    code = "exchange_denied"

    def __init__(self, message: str, *, error: str, callee: str, request_id: str | None = None) -> None:
        self.error = error  # type: ignore[misc]  # per answer here, per class in the server's own errors
        self.callee = callee
        self.request_id = request_id
        super().__init__(message)


class OutboundError(WatchwordError):
    """A call to another service did not leave this process, or came back without an answer."""

    code = "outbound_refused"


class DestinationRefused(OutboundError):
    """The URL is not of the callee's configured origin, or it is plain http off loopback."""

    code = "destination_refused"


class FetchFailed(OutboundError):
    """A key set or metadata could not be fetched whole, in time and within the limits."""

    code = "fetch_failed"
    public = "a service that this one depends on is not reachable"


class TokenEndpointUnreachable(OutboundError):
    """The token server did not answer in time, or not in a way that can be understood."""

    code = "token_endpoint_unreachable"
    public = "a service that this one depends on is not reachable"


class CalleeUnreachable(OutboundError):
    """The service that was called cannot be reached."""

    code = "callee_unreachable"
    public = "a service that this one depends on is not reachable"


class CalleeTimeout(OutboundError):
    """The service that was called did not answer in time."""

    code = "callee_timeout"
    public = "a service that this one depends on did not answer in time"


class CalleeFailed(OutboundError):
    """The service that was called answered with an error, and the caller's code did not expect one."""

    code = "callee_failed"
    public = "a service that this one depends on could not answer"


class TrustError(_Problems):
    """A trust document with mistakes; `problems` names table and key of every one."""

    code = "trust_document_invalid"


class KeyringError(WatchwordError):
    """Signing keys cannot be used as asked."""

    code = "keyring_error"


class NoActiveKey(KeyringError):
    """The keyring has no key that may sign now."""

    code = "no_active_key"
    public = "the service cannot issue tokens at the moment"


class KeyRejected(KeyringError):
    """Key material that must not be used: too short, a known sample, of the wrong kind."""

    code = "key_rejected"


class KeyringConflict(KeyringError):
    """The keyring changed since it was read; read it again and decide anew."""

    code = "keyring_conflict"


class KeyFileUnsafe(KeyringError):
    """A key file or its folder can be read or replaced by somebody else."""

    code = "key_file_unsafe"


class StoreError(WatchwordError):
    """The store could not do what was asked."""

    code = "store_error"
    public = "the service is temporarily unavailable"


class StoreUnavailable(StoreError):
    """The disk is full, locked or read-only; nothing was written, and the same call may work later."""

    code = "store_unavailable"


class AlreadyConsumed(StoreError):
    """A value that works once came a second time."""

    code = "already_consumed"


class StoreCorrupt(StoreError):
    """A migration, checksum or record is not what it must be; a person has to look."""

    code = "store_corrupt"


class NoCaller(WatchwordError):
    """An outbound call on behalf of a caller, where there is no caller.

    Raised outside a request and in threads or tasks that were not given the caller with `bind()`.
    """

    code = "no_caller"

"""Every exception of Watchword, and nothing else.

```
WatchwordError
├── ConfigurationError          configuration_invalid        settings, all mistakes at once
├── TokenError                  a presented token is refused (RFC 6750: 401 invalid_token)
│   ├── TokenMalformed          token_malformed
│   ├── AlgorithmNotAllowed     token_algorithm_not_allowed
│   ├── TypeNotAllowed          token_type_not_allowed
│   ├── KeyUnknown              token_key_unknown
│   ├── SigningKeyRevoked       signing_key_revoked          its key was taken back while it was alive
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
│   ├── TooManyRequests         too_many_requests            429: more often than the limit allows
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
│   ├── KeyNotReady             key_not_ready                not published long enough to sign
│   ├── NoSuccessor             no_successor                 it signs, and no other key could
│   ├── KeyFileUnsafe           key_file_unsafe              readable by others, a link, a foreign owner
│   ├── SealBroken              seal_broken                  changed, cut, exchanged, or an old one put back
│   └── SealingKeyUnusable      sealing_key_unusable         missing, no key, or another one
├── StoreError
│   ├── StoreUnavailable        store_unavailable            disk full, locked, read-only: try again
│   ├── DataFolderInUse         data_folder_in_use           another process holds the data folder
│   ├── AlreadyConsumed         already_consumed             a single-use value came twice
│   ├── StoreCorrupt            store_corrupt                a migration or a record is not what it must be
│   ├── CheckpointInvalid       checkpoint_invalid           a statement about the audit that nobody signed
│   └── AuditLogUnavailable     audit_log_unavailable        the audit log is full or blocked
├── ServerError                 the HTTP side of the token service
│   ├── AddressUnavailable      address_unavailable          somebody else listens there
│   ├── RequestRefused          request_refused              form, size or time of a request: 4xx
│   └── ClientWentAway          client_went_away             nobody is left to be answered
├── AdministrationError         what an operator asked for was not done
│   ├── OperationInvalid        operation_invalid            no such operation, or not its request
│   ├── ConfirmationRequired    confirmation_required        name the thing twice
│   ├── ChangedMeanwhile        changed_meanwhile            somebody else changed it first
│   ├── RegistrationRefused     registration_refused         credentials of two sources, or another kind
│   └── OperatorUnreachable     operator_unreachable         a server holds the folder and does not answer
├── OperationRefused            operation_refused            what a server said to an operation, with its code
└── NoCaller                    no_caller                    an outbound call outside any request
```

Two audiences per error: `public` is a fixed text that a stranger may read; `str(error)` is for the
operator: what was expected and what was found. Neither ever holds a token, a key or a secret.
"""

from watchword.errors.administration import (
    AdministrationError,
    ChangedMeanwhile,
    ConfirmationRequired,
    OperationInvalid,
    OperationRefused,
    OperatorUnreachable,
    RegistrationRefused,
)
from watchword.errors.house import (
    AlreadyConsumed,
    AuditLogUnavailable,
    CheckpointInvalid,
    ConfigurationError,
    DataFolderInUse,
    KeyFileUnsafe,
    KeyNotReady,
    KeyRejected,
    KeyringConflict,
    KeyringError,
    NoActiveKey,
    NoSuccessor,
    SealBroken,
    SealingKeyUnusable,
    StoreCorrupt,
    StoreError,
    StoreUnavailable,
    TrustError,
)
from watchword.errors.oauth import (
    ExchangeDenied,
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    TooManyRequests,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from watchword.errors.outbound import (
    CalleeFailed,
    CalleeTimeout,
    CalleeUnreachable,
    DestinationRefused,
    FetchFailed,
    NoCaller,
    OutboundError,
    TokenEndpointUnreachable,
)
from watchword.errors.requests import (
    BearerError,
    BearerMalformed,
    InsufficientScope,
    KeysUnavailable,
    RoleRequired,
    TokenMissing,
)
from watchword.errors.root import (
    WatchwordError,
)
from watchword.errors.server import AddressUnavailable, ClientWentAway, RequestRefused, ServerError
from watchword.errors.tokens import (
    AlgorithmNotAllowed,
    AudienceMismatch,
    ClaimInvalid,
    IssuerNotTrusted,
    KeySetInvalid,
    KeyUnknown,
    KeyUnusable,
    ProofRequired,
    SignatureInvalid,
    SigningKeyRevoked,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenNotYetValid,
    TypeNotAllowed,
)

__all__ = [
    "AddressUnavailable",
    "AdministrationError",
    "AlgorithmNotAllowed",
    "AlreadyConsumed",
    "AudienceMismatch",
    "AuditLogUnavailable",
    "BearerError",
    "BearerMalformed",
    "CalleeFailed",
    "CalleeTimeout",
    "CalleeUnreachable",
    "ChangedMeanwhile",
    "CheckpointInvalid",
    "ClaimInvalid",
    "ClientWentAway",
    "ConfigurationError",
    "ConfirmationRequired",
    "DataFolderInUse",
    "DestinationRefused",
    "ExchangeDenied",
    "FetchFailed",
    "InsufficientScope",
    "InvalidClient",
    "InvalidGrant",
    "InvalidRequest",
    "InvalidScope",
    "InvalidTarget",
    "IssuerNotTrusted",
    "KeyFileUnsafe",
    "KeyNotReady",
    "KeyRejected",
    "KeySetInvalid",
    "KeyUnknown",
    "KeyUnusable",
    "KeyringConflict",
    "KeyringError",
    "KeysUnavailable",
    "NoActiveKey",
    "NoCaller",
    "NoSuccessor",
    "OAuthError",
    "OperationInvalid",
    "OperationRefused",
    "OperatorUnreachable",
    "OutboundError",
    "ProofRequired",
    "RegistrationRefused",
    "RequestRefused",
    "RoleRequired",
    "SealBroken",
    "SealingKeyUnusable",
    "ServerError",
    "SignatureInvalid",
    "SigningKeyRevoked",
    "StoreCorrupt",
    "StoreError",
    "StoreUnavailable",
    "TemporarilyUnavailable",
    "TokenEndpointUnreachable",
    "TokenError",
    "TokenExpired",
    "TokenMalformed",
    "TokenMissing",
    "TokenNotYetValid",
    "TooManyRequests",
    "TrustError",
    "TypeNotAllowed",
    "UnauthorizedClient",
    "UnsupportedGrantType",
    "WatchwordError",
]

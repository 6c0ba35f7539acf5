"""A presented token is refused."""

from watchword.errors.root import WatchwordError


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


class SigningKeyRevoked(TokenError):
    """Genuine by a key that its issuer has taken back while tokens of it were alive."""

    code = "signing_key_revoked"


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

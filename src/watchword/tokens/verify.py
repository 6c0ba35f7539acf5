"""The one strict verify (RFC 7519 §7.2, RFC 8725, RFC 9068 §4).

Order: form → `alg` in the policy → `typ` → the key fits → signature → `iss` → `aud` → times → the rest.
Claims are decoded only after the signature held, so that an expired forgery is called a forgery.
"""

from typing import Any

import msgspec
from msgspec import UNSET, to_builtins

from watchword.errors import (
    AlgorithmNotAllowed,
    AudienceMismatch,
    ClaimInvalid,
    IssuerNotTrusted,
    KeyUnusable,
    ProofRequired,
    TokenExpired,
    TokenNotYetValid,
    TypeNotAllowed,
)
from watchword.tokens import base64url, strict_json
from watchword.tokens.claims import (
    LATEST_DATE,
    AccessTokenClaims,
    ScopeText,
    ScopeToken,
    demand_printable,
    from_compact,
    typed,
)
from watchword.tokens.jwk_set import JWKSet, KnownHeader, printable
from watchword.tokens.jws import Header, parse_header, segments
from watchword.tokens.kind import kind_of
from watchword.tokens.policy import ACCESS_TOKEN_TYPE, VerificationPolicy
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verified import VerifiedToken, _accept

__all__ = ["select_check", "verify"]

_BOTH_RSA = frozenset({"RS256", "PS256"})


def verify(token: str, keys: JWKSet | SharedSecret, policy: VerificationPolicy, now: float) -> VerifiedToken:
    """Verify an access token and return what it says.

    Args:
        token: the compact JWS, as text.
        keys: the keys of `policy.issuer` and of nobody else; a `SharedSecret` only with HS256.
        policy: what is demanded.
        now: seconds since the epoch.

    Raises:
        TokenError: the first check that failed; its leaf says which.
    """
    segment, payload, signature, signing_input = segments(token, policy.max_length)
    known = keys.known_headers.get(segment) if type(keys) is JWKSet else None
    if known is None:
        known = select_check(segment, keys, policy)
        known.check(base64url.decode(signature), signing_input)
        _remember(segment, known, keys)
        header = known.header
    else:
        header, check = known
        _demand_allowed(header, policy)
        check(base64url.decode(signature), signing_input)

    # the signature held: the issuer said this, but perhaps not to us, not now, or not as an access token
    text = base64url.decode(payload)
    claims = from_compact(text)
    members = None
    if claims is None:
        members = strict_json.decode_object(text)
        _demand_issuer(members.get("iss"), policy)
        claims = typed(members)
    else:
        _demand_issuer(claims.iss, policy)
    if b"\\" in text:  # JSON writes a control character only as an escape
        demand_printable(claims)
    _demand_audience(claims.aud, policy)
    _demand_current(claims, policy, now)
    return _accept(claims, members, _demand_complete(header, claims, members, policy), header.kid)


def _demand_allowed(header: Header, policy: VerificationPolicy) -> None:
    if header.alg not in policy.algorithms:
        raise AlgorithmNotAllowed(
            f"expected alg {' or '.join(sorted(policy.algorithms))}, found {printable(header.alg)}"
        )
    if header.typ not in policy.token_types:
        found = "none" if header.typ is None else printable(header.typ)
        raise TypeNotAllowed(
            f"expected typ {' or '.join(sorted(t for t in policy.token_types if t))}, found {found}"
        )


def select_check(segment: bytes, keys: JWKSet | SharedSecret, policy: VerificationPolicy) -> KnownHeader:
    """Read a header and return the one check that its signature must pass; the token only names a `kid`.

    Raises:
        TokenError: the header is not strict, or asks for what the policy or the key does not allow.
    """
    header = parse_header(segment)
    _demand_allowed(header, policy)
    if isinstance(keys, SharedSecret):
        if header.alg != "HS256":
            raise AlgorithmNotAllowed("a shared secret verifies HS256 only")
        return KnownHeader(header, keys.check)
    if header.kid is not None:
        key = keys.named(header.kid)
    elif policy.missing_kid == "single_key":
        key = keys.only()
    else:
        raise KeyUnusable("expected a kid: trying every key would let a stranger choose the work")
    if header.alg not in key.algorithms:
        raise KeyUnusable(
            f"the key is for {' or '.join(sorted(key.algorithms))}, not for {printable(header.alg)}"
        )
    if _BOTH_RSA.issubset(key.algorithms) and _BOTH_RSA.issubset(policy.algorithms):
        # the JWK does not say which: then the configuration must, and never the token (RFC 8725 §3.1)
        raise KeyUnusable("an RSA key without alg needs a policy that allows RS256 or PS256, not both")
    return KnownHeader(header, key.check(header.alg))


def _remember(segment: bytes, known: KnownHeader, keys: JWKSet | SharedSecret) -> None:
    """Keep a header whose signature held, so that strangers cannot fill the table.

    Only where the text means the same under every policy: its key is named, and for one algorithm.
    """
    kid = known.header.kid
    if kid is not None and isinstance(keys, JWKSet) and not _BOTH_RSA.issubset(keys.named(kid).algorithms):
        keys.remember(segment, known)


def _demand_issuer(iss: object, policy: VerificationPolicy) -> None:
    if iss != policy.issuer:
        raise IssuerNotTrusted(f"expected iss {policy.issuer}, found {printable(str(iss))}")


def _demand_audience(aud: str | list[str], policy: VerificationPolicy) -> None:
    if policy.audiences.isdisjoint((aud,) if type(aud) is str else aud):
        raise AudienceMismatch(
            f"expected aud {' or '.join(sorted(policy.audiences))}, found {printable(str(aud))}"
        )


def _demand_current(claims: AccessTokenClaims, policy: VerificationPolicy, now: float) -> None:
    if not 0 < claims.exp <= LATEST_DATE:
        raise ClaimInvalid("exp: expected seconds since the epoch before the year 10000")
    if not claims.exp > now:  # also when `now` is no number
        raise TokenExpired(f"expired {now - claims.exp:.0f} s ago")
    latest = now + policy.leeway
    if claims.nbf is not UNSET and not claims.nbf <= latest:
        raise TokenNotYetValid(f"nbf lies more than {policy.leeway:g} s in the future")
    if claims.iat is not UNSET and not claims.iat <= latest:
        raise TokenNotYetValid(f"iat lies more than {policy.leeway:g} s in the future")


def _demand_complete(
    header: Header, claims: AccessTokenClaims, members: dict[str, Any] | None, policy: VerificationPolicy
) -> str:
    """Check what is left and return the scope as text; `members` is `None` where `claims` say all."""
    if header.typ == ACCESS_TOKEN_TYPE:
        required = policy.required_of_access_tokens
    else:
        required = policy.required_claims
        _demand_kind(header, to_builtins(claims) if members is None else members, policy)
    for name in required:
        if getattr(claims, name, UNSET) is UNSET and (members is None or name not in members):
            raise ClaimInvalid(f"expected claims {', '.join(sorted(required))}, found no {name}")
    if claims.cnf is not UNSET:
        raise ProofRequired("the token is bound to a key (cnf) and cannot be used as a bearer token")
    if claims.act is not UNSET and len(claims.act.chain()) > policy.max_actors:
        raise ClaimInvalid(f"act: expected at most {policy.max_actors} actors")
    if policy.scope_claim != "scope":
        said = to_builtins(claims) if members is None else members
        return _foreign_scope(said.get(policy.scope_claim, ""))
    return "" if claims.scope is UNSET else claims.scope


def _demand_kind(header: Header, members: dict[str, Any], policy: VerificationPolicy) -> None:
    kind = kind_of(header.typ, members)
    if kind not in policy.token_kinds:
        raise TypeNotAllowed(f"expected {' or '.join(sorted(policy.token_kinds))}, found {kind}")


def _foreign_scope(value: object) -> str:
    """Return scopes of an issuer that keeps them elsewhere, as text or as a list (`scp`, `permissions`)."""
    try:
        if isinstance(value, list):
            # item by item: a blank inside one must not make two scopes of it
            return " ".join(msgspec.convert(value, list[ScopeToken]))
        return msgspec.convert(value, ScopeText)
    except msgspec.ValidationError:
        raise ClaimInvalid("expected scopes as one text or a list of texts (RFC 6749 §3.3)") from None

"""Verifies the subject token of an exchange, ours or a trusted issuer's, each under its own policy."""

from typing import Any

import msgspec

from watchword.authority.foreign_claims import in_our_words
from watchword.authority.key_source import KeySource
from watchword.authority.own_tokens import OwnTokens, kind_of_subject
from watchword.authority.token_types import demand_own_type, proof_of_type
from watchword.authority.unverified import UnverifiedNames, unverified_names
from watchword.errors import AudienceMismatch, InvalidRequest, IssuerNotTrusted, TokenError
from watchword.grants.base import SubjectClaims, VerifySubject
from watchword.tokens.claims import Actor
from watchword.tokens.jwk_set import printable
from watchword.tokens.kind import TokenKind
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify
from watchword.trust.model import Service, TrustDocument, TrustedIssuer

_KINDS: tuple[TokenKind, ...] = ("access_token", "id_token")


class SubjectTokens:
    """Turns a subject token into what it says; the token itself only chooses among configured issuers."""

    __slots__ = ("_keys", "_leeway", "_own")

    def __init__(self, own: OwnTokens, keys: KeySource, *, leeway: float) -> None:
        self._own = own
        self._keys = keys
        self._leeway = leeway

    async def verify(
        self, wish: VerifySubject, client: Service, document: TrustDocument, now: float
    ) -> SubjectClaims:
        """Return what the token says, if it is meant for this client.

        Raises:
            InvalidRequest: the token is refused, for the reason in its cause (RFC 8693 §2.2.2).
            KeysUnavailable: its issuer's keys cannot be had now.
        """
        try:
            if self._own.has_seen(wish.token):
                return self._ours(wish, client, document, now)
            names = unverified_names(wish.token)
            if names.issuer == self._own.issuer:
                return self._ours(wish, client, document, now)
            trusted = document.by_issuer(names.issuer)
            if trusted is None:
                raise IssuerNotTrusted(f"no trusted issuer has the iss {printable(names.issuer)}")
            return await self._theirs(wish, names, trusted, client, now)
        except TokenError as error:
            raise InvalidRequest(f"subject_token: {error}") from error

    def _ours(
        self, wish: VerifySubject, client: Service, document: TrustDocument, now: float
    ) -> SubjectClaims:
        token = self._own.verify(wish.token, client.audience, document, now)
        demand_own_type(wish.declared_type)
        return _own_claims(token, document)

    async def _theirs(
        self, wish: VerifySubject, names: UnverifiedNames, trusted: TrustedIssuer, client: Service, now: float
    ) -> SubjectClaims:
        proof = proof_of_type(wish.declared_type, trusted)
        policy = VerificationPolicy(
            trusted.issuer,
            _audiences(trusted, client),
            trusted.algorithms,
            token_types=proof.header_types,
            token_kinds=(proof.kind,),
            leeway=self._leeway,
            missing_kid="single_key",
            scope_claim=trusted.scope_claim,
        )
        keys = await self._keys.keys(trusted.jwks_uri, names.kid)
        token = verify(wish.token, keys, policy, now)
        return in_our_words(token, trusted)


def _audiences(trusted: TrustedIssuer, client: Service) -> frozenset[str]:
    """Return the foreign `aud` values that make a token one for this client.

    Raises:
        AudienceMismatch: the document maps none to it.
    """
    if not trusted.audiences:
        return frozenset({client.audience})
    names = frozenset(aud for aud, client_id in trusted.audiences.items() if client_id == client.client_id)
    if not names:
        raise AudienceMismatch(f"no audience of issuer {trusted.alias} is mapped to {client.client_id}")
    return names


def _own_claims(token: VerifiedToken, document: TrustDocument) -> SubjectClaims:
    claims: dict[str, Any] = dict(token.claims)
    roles, amr = claims.get("roles"), claims.get("amr")
    return SubjectClaims(
        sub=token.subject.id,
        kind=kind_of_subject(token.subject.id, document),
        scope=token.scope,
        expires=token.expires_at,
        token_id=token.token_id,
        story_id=token.story_id,
        session_id=token.session_id,
        act=msgspec.convert(claims["act"], Actor) if "act" in claims else None,
        may_act=claims.get("may_act"),
        auth_time=claims.get("auth_time"),
        acr=claims.get("acr"),
        amr=None if amr is None else tuple(amr),
        roles=None if roles is None else tuple(roles),
        claims=claims,
    )

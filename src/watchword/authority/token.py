"""The token endpoint's use-case: who asks, may they, sign, write it down, answer (RFC 6749 §3.2)."""

from collections.abc import Mapping

from watchword.audit.event import AuditEvent
from watchword.authority.door import REFUSED, Door, Visit, answer, reason_of
from watchword.authority.requests import TokenAnswer, TokenRequest
from watchword.authority.subject_tokens import SubjectTokens
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import Clock
from watchword.errors import (
    InvalidRequest,
    KeyringError,
    KeysUnavailable,
    OAuthError,
    UnsupportedGrantType,
    WatchwordError,
)
from watchword.grants.base import Asked, Grant, Granted, SubjectClaims
from watchword.grants.stores import IssuedToken
from watchword.keys.issuer import Issuer, new_token_id
from watchword.tokens.jwk_set import printable
from watchword.tokens.jws import MAX_TOKEN_LENGTH
from watchword.trust.model import TrustDocument, service_subject


class TokenAuthority:
    """Issues tokens. None leaves before its audit event is durable; a refusal is an event too."""

    __slots__ = ("_clock", "_door", "_grants", "_issuer", "_subjects", "_trust")

    def __init__(
        self,
        issuer: Issuer,
        trust: TrustInForce,
        *,
        door: Door,
        subjects: SubjectTokens,
        grants: Mapping[str, Grant],
        clock: Clock,
    ) -> None:
        self._issuer = issuer
        self._trust = trust
        self._door = door
        self._subjects = subjects
        self._grants = grants
        self._clock = clock

    async def token(self, request: TokenRequest) -> TokenAnswer:
        """Answer one token request.

        Raises:
            OAuthError: the refusal, as RFC 6749 §5.2, RFC 8693 §2.2.2 and RFC 8707 §2 name it;
                `TemporarilyUnavailable` if there is no key to sign with or nothing can be written down.
        """
        now = self._clock.now()
        document = self._trust.document
        visit = await self._door.admit(request, document, now)
        decision = _Decision(visit, document, now)
        try:
            granted = await self._decide(decision)
            token, kid = self._sign(granted)
        except (OAuthError, KeysUnavailable, KeyringError) as error:
            await self._door.record(decision.refused(error), visit)
            answer(error)
        claims = granted.claims
        await self._door.record(
            decision.allowed(granted, kid), visit, issued=IssuedToken(kid, float(claims.exp))
        )
        return TokenAnswer(
            token,
            "Bearer",
            int(claims.exp - int(claims.iat or 0)),
            str(claims.scope),
            granted.issued_token_type,
        )

    def _sign(self, granted: Granted) -> tuple[str, str]:
        prepared = self._issuer.prepare(granted.claims, extra=granted.extra)
        key = self._issuer.keyring.named(prepared.kid).key
        token = prepared.finish(key.sign(prepared.signing_input))
        if len(token) > MAX_TOKEN_LENGTH:
            raise InvalidRequest(f"expected a token of at most {MAX_TOKEN_LENGTH} characters")
        return token, key.kid

    async def _decide(self, decision: "_Decision") -> Granted:
        visit = decision.visit
        grant_type = visit.parameters.require("grant_type")
        grant = self._grants.get(grant_type)
        if grant is None:
            raise UnsupportedGrantType(f"no grant type is called {printable(grant_type)}")
        deciding = grant(
            Asked(
                client=visit.client.service,
                parameters=visit.parameters,
                document=decision.document,
                issuer=self._issuer.issuer,
                now=decision.now,
                token_id=new_token_id(),
                story_id=new_token_id(),
            )
        )
        try:
            wish = next(deciding)
            while True:
                decision.subject = await self._subjects.verify(
                    wish, visit.client.service, decision.document, decision.now
                )
                wish = deciding.send(decision.subject)
        except StopIteration as done:
            granted: Granted = done.value
            return granted


class _Decision:
    """One request on its way, and what the audit will say of it whichever way it ends."""

    __slots__ = ("document", "now", "subject", "visit")

    def __init__(self, visit: Visit, document: TrustDocument, now: float) -> None:
        self.visit = visit
        self.document = document
        self.now = now
        self.subject: SubjectClaims | None = None

    def allowed(self, granted: Granted, kid: str) -> AuditEvent:
        """Return the event of a token that is about to leave."""
        claims, client_id = granted.claims, self.visit.client.service.client_id
        return AuditEvent(
            type=granted.event,
            time=self.now,
            actor=None if self.subject is None else service_subject(client_id),
            client=client_id,
            subject=claims.sub,
            audience=str(claims.aud),
            jti=str(claims.jti),
            parent_jti=granted.parent_id,
            txn=str(claims.txn),
            kid=kid,
            reason=granted.reason,
            request_id=self.visit.request_id,
        )

    def refused(self, error: WatchwordError) -> AuditEvent:
        """Return the event of a refusal: what is known so far, and why."""
        subject, parameters = self.subject, self.visit.parameters
        audiences, resources = parameters.all("audience"), parameters.all("resource")
        # only a name that we know: what else stands there is for the reason, cut and escaped
        callee = (self.document.by_audience(audiences[0]) if audiences else None) or (
            self.document.by_resource(resources[0]) if resources else None
        )
        client_id = self.visit.client.service.client_id
        return AuditEvent(
            type=REFUSED,
            time=self.now,
            outcome="refused",
            actor=None if subject is None else service_subject(client_id),
            client=client_id,
            subject=None if subject is None else subject.sub,
            audience=None if callee is None else callee.audience,
            parent_jti=None if subject is None else subject.token_id,
            txn=None if subject is None else subject.story_id,
            reason=reason_of(error),
            request_id=self.visit.request_id,
        )

"""Introspection: is this token of ours good now, for the service that asks (RFC 7662)."""

from typing import Any

from watchword.audit.event import AuditEvent
from watchword.authority.door import Door, Visit, reason_of
from watchword.authority.own_tokens import OwnTokens
from watchword.authority.requests import TokenRequest
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import Clock
from watchword.errors import InvalidRequest, TokenError
from watchword.resource.verified_cache import digest_of
from watchword.tokens.verified import VerifiedToken

_MAX_TOLD = 8_192
"""Answers that a generation remembers."""

_Told = tuple[str, bytes | None]
"""To whom, and SHA-256 of the token that is good."""

_SHOWN = ("iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "txn", "sid", "act")


class Introspection:
    """Answers only the service that a token is meant for; to anybody else every token is inactive.

    A service that is told once more what it was told before learns nothing: that is no event of its own,
    unless an assertion has to be used up. Every other answer is one.
    """

    __slots__ = ("_clock", "_door", "_own", "_told", "_told_before", "_trust")

    def __init__(self, own: OwnTokens, trust: TrustInForce, *, door: Door, clock: Clock) -> None:
        self._own = own
        self._trust = trust
        self._door = door
        self._clock = clock
        # two generations: bounded, and whoever asks often stays
        self._told: set[_Told] = set()
        self._told_before: set[_Told] = set()

    async def introspect(self, request: TokenRequest) -> dict[str, Any]:
        """Return the answer's JSON object: `{"active": false}` and nothing else, or the token's claims.

        Whether the token is forged, expired, for somebody else, or of a client that is gone is the
        operator's to know: the event says it.

        Raises:
            InvalidClient: the asking service has not proved who it is.
            InvalidRequest: no token.
            TemporarilyUnavailable: nothing can be written down.
        """
        now = self._clock.now()
        document = self._trust.document
        visit = await self._door.admit(request, document, now)
        text = visit.parameters.get("token")
        if text is None:
            error = InvalidRequest("expected the parameter token")
            await self._door.record(_event(visit, now, refused=reason_of(error)), visit)
            raise error
        told = (visit.client.service.client_id, digest_of(text))
        try:
            token = self._own.verify(text, visit.client.service.audience, document, now)
        except TokenError as error:
            self._told.discard(told)
            self._told_before.discard(told)
            await self._door.record(_event(visit, now, refused=reason_of(error)), visit)
            return {"active": False}
        if visit.client.consume or not self._knows(told):
            await self._door.record(_event(visit, now, token), visit)
            self._keep(told)
        claims = token.claims
        shown = {name: claims[name] for name in _SHOWN if name in claims}
        return {"active": True, "token_type": "Bearer"} | shown

    def _knows(self, told: "_Told") -> bool:
        if told in self._told:
            return True
        if told not in self._told_before:
            return False
        self._keep(told)
        return True

    def _keep(self, told: "_Told") -> None:
        if len(self._told) >= _MAX_TOLD:
            self._told_before, self._told = self._told, set()
        self._told.add(told)


def _event(
    visit: Visit, now: float, token: VerifiedToken | None = None, *, refused: str | None = None
) -> AuditEvent:
    known = token is not None
    return AuditEvent(
        type="token.introspected",
        time=now,
        outcome="allowed" if known else "refused",
        client=visit.client.service.client_id,
        subject=token.subject.id if token is not None else None,
        audience=visit.client.service.audience,
        jti=token.token_id if token is not None else None,
        txn=token.story_id if token is not None else None,
        kid=token.key_id if token is not None else None,
        reason=refused,
        request_id=visit.request_id,
    )

"""`client_credentials`: a service asks for a token in its own name (RFC 6749 §4.4)."""

from watchword.grants.base import Asked, Deciding, Granted, lifetime
from watchword.grants.target import requested_scope, target
from watchword.tokens.claims import AccessTokenClaims, format_scope
from watchword.trust.model import service_subject
from watchword.trust.rules import Ask, decide

GRANT_TYPE = "client_credentials"


def client_credentials(asked: Asked) -> Deciding:
    """Decide a token whose subject is the client itself; it has no actor and starts a story.

    Raises:
        InvalidTarget: no target, an unknown one, or no rule lets this service call it as itself.
        InvalidScope: nothing of what was asked for may be given.
    """
    yield from ()  # nothing needs to be verified: who asks is known
    client = asked.client
    callee = target(asked.parameters, asked.document)
    decision = decide(
        asked.document,
        Ask(
            caller=client.client_id,
            callee=callee,
            kind="service",
            subject_scope=None,
            requested=requested_scope(asked.parameters),
            actors=(),
        ),
    )
    issued, expires = lifetime(asked.now, decision.lifetime)
    claims = AccessTokenClaims(
        iss=asked.issuer,
        sub=service_subject(client.client_id),
        aud=callee.audience,
        exp=expires,
        iat=issued,
        jti=asked.token_id,
        client_id=client.client_id,
        scope=format_scope(decision.scope),
        txn=asked.story_id,
    )
    return Granted("token.issued", claims, {}, decision.rules)

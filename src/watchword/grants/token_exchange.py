"""Token exchange: a service acts for the subject of a token that was meant for it (RFC 8693)."""

import math
from collections.abc import Mapping
from typing import Any

from msgspec import UNSET, UnsetType

from watchword.errors import InvalidRequest
from watchword.grants.base import (
    RESERVED_CLAIMS,
    Asked,
    Deciding,
    Granted,
    SubjectClaims,
    VerifySubject,
    lifetime,
)
from watchword.grants.target import requested_scope, target
from watchword.tokens.claims import MAX_ACTORS, AccessTokenClaims, Actor, format_scope
from watchword.tokens.jwk_set import printable
from watchword.trust.model import Service, service_subject
from watchword.trust.rules import Ask, decide

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # a name, not a token
JWT = "urn:ietf:params:oauth:token-type:jwt"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # a name, not a token


def token_exchange(asked: Asked) -> Deciding:
    """Decide a token for another service, on behalf of the subject of the presented one.

    By default delegation: the client becomes the current actor and the whole chain before it stays below.
    The scope is what the callee's rules give, the lifetime never longer than the subject token's.

    Raises:
        InvalidRequest: the subject token, an actor token, the chain, or a token type (RFC 8693 §2.2.2).
        InvalidTarget: no target, an unknown one, or no rule of the callee.
        InvalidScope: nothing of what was asked for may be given.
    """
    parameters, client = asked.parameters, asked.client
    if "actor_token" in parameters or "actor_token_type" in parameters:
        raise InvalidRequest("expected no actor_token: the actor is the authenticated client")
    wanted = parameters.get("requested_token_type")
    if wanted is not None and wanted not in (ACCESS_TOKEN, JWT):
        raise InvalidRequest(
            f"requested_token_type: expected an access token or a JWT, found {printable(wanted)}"
        )
    token = parameters.require("subject_token")
    subject = yield VerifySubject(token, parameters.require("subject_token_type"))

    callee = target(parameters, asked.document)
    _demand_may_act(subject.may_act, asked)
    decision = decide(
        asked.document,
        Ask(
            caller=client.client_id,
            callee=callee,
            kind=subject.kind,
            subject_scope=subject.scope,
            requested=requested_scope(parameters),
            actors=subject.actors,
        ),
    )
    impersonation = decision.act_as == "subject"
    issued, expires = lifetime(asked.now, decision.lifetime, subject.expires)
    if expires <= asked.now:
        raise InvalidRequest("the subject token expires too soon to be exchanged")
    claims = AccessTokenClaims(
        iss=asked.issuer,
        sub=subject.sub,
        aud=callee.audience,
        exp=expires,
        iat=issued,
        jti=asked.token_id,
        client_id=client.client_id,
        scope=format_scope(decision.scope),
        txn=subject.story_id or asked.story_id,
        sid=_known(subject.session_id),
        auth_time=UNSET if subject.auth_time is None else math.floor(subject.auth_time),
        acr=_known(subject.acr),
        amr=UNSET if subject.amr is None else list(subject.amr),
        roles=list(subject.roles) if subject.roles is not None and "roles" in callee.claims else UNSET,
        act=_act(subject, client, impersonation=impersonation),
        may_act=UNSET if subject.may_act is None else dict(subject.may_act),
    )
    return Granted(
        "token.exchanged",
        claims,
        _listed(subject.claims, callee),
        decision.rules,
        decision.derived,
        impersonation,
        subject.token_id,
        ACCESS_TOKEN,
    )


def _demand_may_act(may_act: Mapping[str, Any] | None, asked: Asked) -> None:
    """Refuse unless the subject lets exactly this client act (RFC 8693 §4.4).

    Every member narrows who is meant, so one that is not understood refuses too.
    """
    if may_act is None:
        return
    client_id = asked.client.client_id
    ours = {"sub": service_subject(client_id), "iss": asked.issuer, "client_id": client_id}
    if "sub" not in may_act or not may_act.items() <= ours.items():
        raise InvalidRequest(f"may_act of the subject token does not name {ours['sub']}")


def _act(subject: SubjectClaims, client: Service, *, impersonation: bool) -> Actor | UnsetType:
    """Put the client on top of the chain; below it nothing is lost, cut or moved (RFC 8693 §4.1).

    Impersonation adds nobody, but those who acted before stay visible.
    """
    before: Actor | UnsetType = UNSET if subject.act is None else subject.act
    if impersonation:
        return before
    current = service_subject(client.client_id)
    if current in subject.actors:
        raise InvalidRequest(f"{current} already acts in this chain: an actor never appears twice")
    if len(subject.actors) >= MAX_ACTORS:
        raise InvalidRequest(f"expected a chain of at most {MAX_ACTORS} actors, the current one counted")
    return Actor(sub=current, act=before)


def _listed(claims: Mapping[str, Any], callee: Service) -> dict[str, Any]:
    """Return what the callee lists among its `claims`; never a claim that only this server writes."""
    return {name: claims[name] for name in sorted(callee.claims - RESERVED_CLAIMS) if name in claims}


def _known(value: str | None) -> str | UnsetType:
    return UNSET if value is None else value

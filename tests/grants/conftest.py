"""A small world of services, and a way to drive a grant's decision by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from watchword.grants import GRANTS
from watchword.grants.base import Asked, Granted, SubjectClaims, VerifySubject
from watchword.grants.parameters import Parameters
from watchword.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE
from watchword.tokens.claims import Actor
from watchword.trust.model import Rule, Service, TrustDocument, TrustedIssuer

ISSUER = "https://tokens.example"
NOW = 1_800_000_000.75

Decide = Callable[..., Granted]


def rule(caller: str, *scopes: str, name: str = "allow[0]", **members: Any) -> Rule:
    return Rule(
        name=name,
        caller=caller,
        scopes=frozenset(scopes),
        on_behalf_of=members.pop("on_behalf_of", "any"),
        **members,
    )


def service(client_id: str, *scopes: str, allow: tuple[Rule, ...] = (), **members: Any) -> Service:
    return Service(
        client_id=client_id,
        audience=members.pop("audience", client_id),
        url=members.pop("url", f"https://{client_id}.example"),
        scopes=frozenset(scopes),
        claims=frozenset(members.pop("claims", ())),
        secret_sha256=("0" * 64,),
        allow=allow,
        **members,
    )


def document(*services: Service, issuers: tuple[TrustedIssuer, ...] = ()) -> TrustDocument:
    return TrustDocument(
        services={item.client_id: item for item in services}, issuers={item.alias: item for item in issuers}
    )


def chain(*subs: str) -> Actor | None:
    """The chain of these actors, the current one first."""
    actor: Actor | None = None
    for sub in reversed(subs):
        actor = Actor(sub=sub) if actor is None else Actor(sub=sub, act=actor)
    return actor


def person(scope: str = "posts:read", **members: Any) -> SubjectClaims:
    return SubjectClaims(
        sub=members.pop("sub", "staff|john_doe"),
        kind=members.pop("kind", "person"),
        scope=frozenset(scope.split()),
        expires=members.pop("expires", NOW + 300),
        token_id=members.pop("token_id", "parent-1"),
        story_id=members.pop("story_id", "story-1"),
        **members,
    )


@pytest.fixture
def world() -> TrustDocument:
    return document(
        service("posts", "posts:read"),
        service(
            "users",
            "users:read",
            "users:write",
            claims=("roles", "email"),
            allow=(
                rule("posts", "users:read", when_subject_has=frozenset({"posts:read"})),
                rule("billing", "users:read", "users:write", on_behalf_of="service"),
            ),
        ),
        service("billing", "billing:read"),
    )


@pytest.fixture
def decide(world: TrustDocument) -> Decide:
    """Decide what `client` asks for; an exchange if there is a subject."""

    def decide_now(
        client: str,
        subject: SubjectClaims | None = None,
        *,
        trust: TrustDocument = world,
        pairs: list[tuple[str, str]] | None = None,
        **form: str,
    ) -> Granted:
        if subject is not None:
            form = {
                "grant_type": GRANT_TYPE,
                "subject_token": "…",
                "subject_token_type": ACCESS_TOKEN,
            } | form
        else:
            form = {"grant_type": "client_credentials"} | form
        parameters = Parameters([*form.items(), *(pairs or [])])
        asked = Asked(
            client=trust.services[client],
            parameters=parameters,
            document=trust,
            issuer=ISSUER,
            now=NOW,
            token_id="new-1",
            story_id="story-new",
        )
        deciding = GRANTS[parameters.require("grant_type")](asked)
        try:
            wish = next(deciding)
            assert isinstance(wish, VerifySubject)
            assert subject is not None
            deciding.send(subject)
        except StopIteration as done:
            granted: Granted = done.value
            return granted
        raise AssertionError("expected a decision after one subject token")

    return decide_now

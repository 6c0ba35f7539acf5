"""What holds for any rules and any chain of exchanges: the semantics of RFC 8693, hunted at random."""

import asyncio
import hashlib
import random
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watchword.authority.build import Authority, build
from watchword.authority.requests import TokenAnswer, TokenRequest
from watchword.errors import OAuthError
from watchword.grants.token_exchange import ACCESS_TOKEN, GRANT_TYPE, JWT
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.storage.memory import MemoryLedger
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey
from watchword.trust.model import Rule, Service, TrustDocument, TrustedIssuer

from .conftest import ISSUER, START, HandClock, KeysByUri, basic, payload_of, signed

NAMES = tuple("abcdefghij")
SCOPES = ("r", "w", "x")
STAFF = PrivateKey.generate("ES256")
STORE = MemoryKeyStore()
ISSUES = Issuer(ISSUER, STORE)
HUNT = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

seeds = st.integers(0, 2**64).map(random.Random)


def some(dice: random.Random, names: tuple[str, ...] = SCOPES) -> frozenset[str]:
    return frozenset(dice.sample(names, dice.randint(1, len(names))))


def some_rule(dice: random.Random, callee: str, caller: str, number: int) -> Rule:
    return Rule(
        name=f"services.{callee}.allow[{number}]",
        caller=caller,
        scopes=some(dice),
        on_behalf_of=dice.choice(("person", "service", "any", "any", "any")),
        when_subject_has=dice.choice((None, some(dice), frozenset({"r"}))),
        max_chain=dice.choice((8, 8, 8, 8, 3)),
        lifetime=dice.randint(60, 300),
        act_as=dice.choice(("actor",) * 9 + ("subject",)),
    )


def some_document(dice: random.Random) -> TrustDocument:
    """Ten services, most of which let most others call them, each under rules of its own."""
    services = {}
    for name in NAMES:
        callers = [caller for caller in NAMES for _ in range(dice.choice((0, 1, 2, 2)))]
        services[name] = Service(
            client_id=name,
            audience=f"aud-{name}",
            url=f"https://{name}.example",
            scopes=frozenset(SCOPES),
            secret_sha256=(hashlib.sha256(name.encode()).hexdigest(),),
            allow=tuple(some_rule(dice, name, caller, number) for number, caller in enumerate(callers)),
        )
    staff = TrustedIssuer(
        alias="staff",
        issuer="https://staff.example",
        jwks_uri="https://staff.example/jwks",
        asserts=dice.choice(("people", "people", "services")),
        algorithms=frozenset({"ES256"}),
        scopes=frozenset(SCOPES),
        audiences={"any": "a"},
    )
    return TrustDocument(services=services, issuers={"staff": staff})


@dataclass(frozen=True)
class Hop:
    """One wish: who asks, for which callee, with which scope, after how many seconds."""

    client: str
    callee: str
    scope: frozenset[str] | None
    seconds: float
    form: dict[str, str]


def some_hop(dice: random.Random, holder: str) -> Hop:
    """Mostly the service that the token is meant for asks; sometimes another one tries."""
    return Hop(
        client=holder if dice.random() < 0.85 else dice.choice(NAMES),
        callee=dice.choice(NAMES),
        scope=None if dice.random() < 0.7 else some(dice),
        seconds=dice.choice((0, 0, 0.4, 5, 20.7)),
        form=dice.choice(
            ({}, {}, {}, {"act": "{}"}, {"resource": "https://a.example"}, {"requested_token_type": JWT})
        ),
    )


class Journey:
    """A token service, a token in hand, and every token that was issued on the way."""

    def __init__(self, document: TrustDocument) -> None:
        self.document = document
        self.clock = HandClock()
        self.ledger = MemoryLedger()
        keys = KeysByUri()
        keys.sets["https://staff.example/jwks"] = JWKSet([STAFF.public])
        self.authority: Authority = build(
            ISSUES, document, self.ledger, keys=keys, clock=self.clock, leeway=0
        )
        self.issued: list[tuple[dict[str, Any] | None, dict[str, Any], Hop]] = []

    async def ask(self, client: str, **form: str) -> TokenAnswer:
        request = TokenRequest(list(form.items()), basic(client, client), "r")
        return await self.authority.tokens.token(request)

    async def exchange(self, token: str, hop: Hop) -> str | None:
        self.clock.time += hop.seconds
        form = {
            "grant_type": GRANT_TYPE,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "audience": f"aud-{hop.callee}",
        }
        if hop.scope is not None:
            form["scope"] = " ".join(sorted(hop.scope))
        try:
            answer = await self.ask(hop.client, **form | hop.form)
        except OAuthError:
            return None
        self.issued.append((payload_of(token), payload_of(answer.access_token), hop))
        return answer.access_token

    async def in_own_name(self, hop: Hop) -> str | None:
        try:
            answer = await self.ask(hop.client, grant_type="client_credentials", audience=f"aud-{hop.callee}")
        except OAuthError:
            return None
        self.issued.append((None, payload_of(answer.access_token), hop))
        return answer.access_token

    def from_staff(self, scope: frozenset[str], exp: float, **claims: Any) -> str:
        payload = {
            "iss": "https://staff.example",
            "sub": "john",
            "aud": "any",
            "exp": exp,
            "iat": int(START),
            "jti": "s",
            "client_id": "web",
            "txn": "story",
            "sid": "session",
            "scope": " ".join(sorted(scope)),
        } | claims
        return signed(STAFF, payload)


async def travel(journey: Journey, token: str, holder: str, dice: random.Random) -> int:
    """Go on with every token that is issued; return how often somebody tried."""
    for _ in range(20):
        hop = some_hop(dice, holder)
        issued = await journey.exchange(token, hop)
        if issued is not None:
            token, holder = issued, hop.callee
    return 20


def spaced(scope: str) -> set[str]:
    return set(scope.split())


def chain(payload: dict[str, Any]) -> list[str]:
    found, act = [], payload.get("act")
    while act:
        found.append(act["sub"])
        act = act.get("act")
    return found


@pytest.mark.threat(110, 116, 119, 120, 124)
@HUNT
@given(seeds)
def test_no_chain_of_exchanges_ever_gains_anything(dice: random.Random) -> None:
    document = some_document(dice)
    journey = Journey(document)
    start = journey.from_staff(some(dice), START + dice.randint(1, 4_000) / 10)
    asyncio.run(travel(journey, start, "a", dice))
    hop = some_hop(dice, dice.choice(NAMES))
    own = asyncio.run(journey.in_own_name(hop))
    if own is not None:
        asyncio.run(travel(journey, own, hop.callee, dice))
    for parent, token, hop in journey.issued:
        callee, actor = document.services[hop.callee], f"service|{hop.client}"
        allowed = [r for r in callee.allow if r.caller == hop.client]
        # scope: never beyond the rules, and beyond the subject only where a rule derives
        assert spaced(token["scope"])
        assert spaced(token["scope"]) <= set().union(*(r.scopes for r in allowed))
        assert hop.scope is None or parent is None or spaced(token["scope"]) <= hop.scope
        assert token["aud"] == callee.audience
        assert token["client_id"] == hop.client
        assert token["exp"] - token["iat"] <= max(r.lifetime for r in allowed)
        if parent is None:
            assert (token["sub"], chain(token)) == (actor, [])
            continue
        deriving = {s for r in allowed if r.when_subject_has is not None for s in r.scopes}
        assert spaced(token["scope"]) - spaced(parent["scope"]) <= deriving
        # time: never past the parent
        assert token["exp"] <= parent["exp"]
        # who: the subject, the story and the session stay, nobody is lost or moved in the chain
        foreign = parent["iss"] != ISSUER
        before = [] if foreign else chain(parent)
        assert token["txn"] == parent["txn"]
        assert token["sub"] == (f"staff|{parent['sub']}" if foreign else parent["sub"])
        if "sid" in parent:
            assert token["sid"] == (f"staff|{parent['sid']}" if foreign else parent["sid"])
        assert chain(token) in ([actor, *before], before)
        if chain(token) == before:
            assert any(r.act_as == "subject" for r in allowed)
        assert len(chain(token)) == len(set(chain(token))) <= 8
        assert token["jti"] != parent["jti"]


@pytest.mark.threat(203)
@HUNT
@given(seeds)
def test_there_are_as_many_events_as_tokens_and_as_many_refusals_as_refused(dice: random.Random) -> None:
    journey = Journey(some_document(dice))
    tries = asyncio.run(travel(journey, journey.from_staff(some(dice), START + 300), "a", dice))
    for name in NAMES:
        asyncio.run(journey.in_own_name(some_hop(dice, name)))
    events = [event for _, event in asyncio.run(journey.ledger.events(limit=1_000))]
    allowed = [event for event in events if event.outcome == "allowed"]
    assert [event.jti for event in allowed] == [token["jti"] for _, token, _ in journey.issued]
    assert len(events) == tries + len(NAMES)
    told = {event.jti: event for event in allowed}
    for _, token, _ in journey.issued:  # who acted is found by following the events back
        event, actors = told.get(token["jti"]), []
        while event is not None:
            actors += [event.actor] if event.actor else []
            event = told.get(event.parent_jti)
        found = iter(actors)
        assert all(actor in found for actor in chain(token)), (actors, chain(token))
    assert {event.type for event in events if event.outcome == "refused"} <= {"token.refused"}
    assert all(event.reason and event.client and event.time for event in events)


NAMES_OF_PARAMETERS = (
    "grant_type",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "scope",
    "audience",
    "resource",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "actor_token",
)
VALUES = ("a", "client_credentials", GRANT_TYPE, ACCESS_TOKEN, "aud-b", "r")
pairs_of_a_form = st.tuples(
    st.text(max_size=4) | st.sampled_from(NAMES_OF_PARAMETERS), st.text(max_size=12) | st.sampled_from(VALUES)
)


@HUNT
@given(st.lists(pairs_of_a_form, max_size=8), st.none() | st.text(max_size=30) | st.just(basic("a", "a")))
def test_whatever_comes_in_is_refused_in_the_words_of_the_rfc(
    pairs: list[tuple[str, str]], authorization: str | None
) -> None:
    only = Service(
        client_id="a",
        audience="aud-a",
        url=None,
        scopes=frozenset(SCOPES),
        secret_sha256=(hashlib.sha256(b"a").hexdigest(),),
    )
    journey = Journey(TrustDocument(services={"a": only}))
    request = TokenRequest(pairs, authorization, None)
    with pytest.raises(OAuthError) as caught:
        asyncio.run(journey.authority.tokens.token(request))
    assert caught.value.error in {
        "invalid_request",
        "invalid_client",
        "unsupported_grant_type",
        "invalid_target",
        "invalid_scope",
    }
    with pytest.raises(OAuthError):
        asyncio.run(journey.authority.introspection.introspect(request))

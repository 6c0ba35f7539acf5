"""The decision of an exchange, with a subject token that is already verified."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from msgspec import UNSET

from watchword.errors import InvalidRequest, InvalidScope, InvalidTarget, OAuthError
from watchword.grants.base import Granted
from watchword.grants.token_exchange import ACCESS_TOKEN, ID_TOKEN, JWT
from watchword.tokens.claims import Actor
from watchword.trust.model import TrustDocument

from .conftest import ISSUER, NOW, chain, document, person, rule, service

Decide = Callable[..., Granted]


def test_the_caller_acts_for_the_person_at_the_callee(decide: Decide) -> None:
    granted = decide("posts", person(), audience="users")
    claims = granted.claims
    assert granted.event == "token.exchanged"
    assert granted.issued_token_type == ACCESS_TOKEN
    assert (claims.sub, claims.aud, claims.client_id) == ("staff|john_doe", "users", "posts")
    assert claims.act == Actor(sub="service|posts")
    assert claims.txn == "story-1"
    assert claims.scope == "users:read"
    assert granted.parent_id == "parent-1"


@pytest.mark.threat(109)
def test_the_default_is_no(decide: Decide) -> None:
    with pytest.raises(InvalidTarget):
        decide("users", person(), audience="posts")
    with pytest.raises(InvalidTarget):
        decide("users", person(), audience="users")


@pytest.mark.threat(110, 242)
def test_without_derivation_the_scope_is_only_what_rule_subject_and_request_share(decide: Decide) -> None:
    trust = document(service("posts"), service("users", "a", "b", "c", allow=(rule("posts", "a", "b"),)))
    assert decide("posts", person("b c"), trust=trust, audience="users").claims.scope == "b"
    assert decide("posts", person("a b c"), trust=trust, audience="users", scope="a c").claims.scope == "a"
    for subject, scope in ((person("c"), "c"), (person("c"), "a"), (person("b"), "a"), (person(""), "a")):
        with pytest.raises(InvalidScope):
            decide("posts", subject, trust=trust, audience="users", scope=scope)


@pytest.mark.threat(242)
def test_derived_scopes_need_what_the_rule_names_and_are_told_to_the_audit(decide: Decide) -> None:
    granted = decide("posts", person("posts:read"), audience="users")
    assert granted.derived == {"users:read"}
    assert "derived users:read" in granted.reason
    with pytest.raises(OAuthError):
        decide("posts", person("other:read"), audience="users")


@pytest.mark.threat(116)
def test_the_whole_old_chain_stays_below_the_new_actor(decide: Decide) -> None:
    before = chain("service|web", "service|gateway")
    act = decide("posts", person(act=before), audience="users").claims.act
    assert isinstance(act, Actor)
    assert act.chain() == ("service|posts", "service|web", "service|gateway")
    assert act.act == before


@pytest.mark.threat(119)
def test_an_actor_never_appears_twice(decide: Decide) -> None:
    with pytest.raises(InvalidRequest):
        decide("posts", person(act=chain("service|web", "service|posts")), audience="users")


@pytest.mark.threat(119)
def test_the_ninth_actor_is_refused(decide: Decide) -> None:
    seven = [f"service|s{n}" for n in range(7)]
    assert decide("posts", person(act=chain(*seven)), audience="users")
    with pytest.raises(InvalidRequest):
        decide("posts", person(act=chain(*seven, "service|s7")), audience="users")


@pytest.mark.threat(119)
def test_a_rule_may_allow_a_shorter_chain(decide: Decide) -> None:
    trust = document(service("posts"), service("users", "a", allow=(rule("posts", "a", max_chain=2),)))
    assert decide("posts", person("a", act=chain("service|web")), trust=trust, audience="users")
    with pytest.raises(InvalidRequest):
        decide(
            "posts", person("a", act=chain("service|web", "service|gateway")), trust=trust, audience="users"
        )


@pytest.mark.threat(117)
def test_act_and_may_act_in_the_request_are_ignored(decide: Decide) -> None:
    granted = decide("posts", person(), audience="users", act='{"sub":"service|root"}', may_act='{"sub":"x"}')
    assert granted.claims.act == Actor(sub="service|posts")
    assert granted.claims.may_act is UNSET


@pytest.mark.threat(118)
@pytest.mark.parametrize(
    "may_act",
    [
        {"sub": "service|web"},
        {"sub": "posts"},
        {"sub": "service|posts", "iss": "https://other.example"},
        {"sub": "service|posts", "client_id": "web"},
        {"sub": "service|posts", "x5t": None},
        {"sub": ["service|posts"]},
        {"client_id": "posts"},
        {},
    ],
)
def test_may_act_that_names_anybody_else_refuses(decide: Decide, may_act: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="may_act"):
        decide("posts", person(may_act=may_act), audience="users")


@pytest.mark.threat(118)
def test_may_act_that_names_the_client_is_honoured_and_kept(decide: Decide) -> None:
    may_act = {"sub": "service|posts", "iss": ISSUER}
    assert decide("posts", person(may_act=may_act), audience="users").claims.may_act == may_act


@pytest.mark.threat(115)
@pytest.mark.parametrize("name", ["actor_token", "actor_token_type"])
def test_an_actor_token_is_refused_whoever_it_speaks_of(decide: Decide, name: str) -> None:
    with pytest.raises(InvalidRequest, match="actor_token"):
        decide("posts", person(), audience="users", **{name: "x"})


@pytest.mark.threat(114)
@pytest.mark.parametrize("wanted", [ACCESS_TOKEN, JWT])
def test_an_access_token_comes_back_whether_asked_for_or_not(decide: Decide, wanted: str) -> None:
    granted = decide("posts", person(), audience="users", requested_token_type=wanted)
    assert granted.issued_token_type == ACCESS_TOKEN


@pytest.mark.threat(114)
@pytest.mark.parametrize(
    "wanted",
    [
        ID_TOKEN,
        "urn:ietf:params:oauth:token-type:refresh_token",
        "urn:ietf:params:oauth:token-type:saml2",
        "access_token",
        f"{JWT} ",
    ],
)
def test_no_other_token_type_is_given(decide: Decide, wanted: str) -> None:
    with pytest.raises(InvalidRequest, match="requested_token_type"):
        decide("posts", person(), audience="users", requested_token_type=wanted)


@pytest.mark.threat(120, 122)
def test_the_new_token_never_outlives_its_parent(decide: Decide) -> None:
    claims = decide("posts", person(expires=NOW + 30.5), audience="users").claims
    assert claims.exp == 1_800_000_031  # 31.25 s later, floored
    assert claims.exp <= NOW + 30.5
    assert decide("posts", person(expires=NOW + 9_999), audience="users").claims.exp == 1_800_000_120


@pytest.mark.threat(120)
def test_a_parent_in_its_last_second_gives_no_token(decide: Decide) -> None:
    with pytest.raises(InvalidRequest, match="too soon"):
        decide("posts", person(expires=NOW + 0.2), audience="users")


def test_without_a_rule_for_it_nobody_is_impersonated(decide: Decide, world: TrustDocument) -> None:
    trust = document(service("posts"), service("users", "a", allow=(rule("posts", "a", act_as="subject"),)))
    granted = decide("posts", person("a"), trust=trust, audience="users")
    assert granted.claims.act is UNSET
    assert granted.impersonation
    assert "impersonation" in granted.reason
    assert decide("posts", person(), audience="users").claims.act is not UNSET


@pytest.mark.threat(116)
def test_impersonation_does_not_hide_who_acted_before(decide: Decide) -> None:
    trust = document(service("posts"), service("users", "a", allow=(rule("posts", "a", act_as="subject"),)))
    before = chain("service|web")
    assert decide("posts", person("a", act=before), trust=trust, audience="users").claims.act == before


@pytest.mark.threat(115)
def test_a_token_about_a_service_needs_a_rule_for_services(decide: Decide) -> None:
    trust = document(
        service("posts"), service("users", "a", allow=(rule("posts", "a", on_behalf_of="person"),))
    )
    robot = person("a", sub="service|web", kind="service")
    with pytest.raises(InvalidTarget):
        decide("posts", robot, trust=trust, audience="users")


def test_what_is_known_of_the_sign_in_is_kept(decide: Decide) -> None:
    subject = person(session_id="staff|s1", auth_time=1_799_999_000.9, acr="2", amr=("pwd", "otp"))
    claims = decide("posts", subject, audience="users").claims
    assert (claims.sid, claims.auth_time, claims.acr, claims.amr) == (
        "staff|s1",
        1_799_999_000,
        "2",
        ["pwd", "otp"],
    )
    bare = decide("posts", person(), audience="users").claims
    assert bare.sid is bare.auth_time is bare.acr is bare.amr is bare.roles is UNSET


@pytest.mark.threat(234)
def test_a_callee_gets_only_the_claims_that_it_lists(decide: Decide, world: TrustDocument) -> None:
    subject = person(
        roles=("editor",), claims={"email": "john@example.org", "phone": "1", "act": "x", "aud": "y"}
    )
    granted = decide("posts", subject, audience="users")
    assert granted.claims.roles == ["editor"]
    assert granted.extra == {"email": "john@example.org"}
    modest = dict(world.services)
    modest["users"] = replace(world.services["users"], claims=frozenset())
    granted = decide("posts", subject, trust=TrustDocument(services=modest), audience="users")
    assert granted.claims.roles is UNSET
    assert granted.extra == {}


def test_a_callee_that_lists_a_claim_of_ours_gets_ours(decide: Decide, world: TrustDocument) -> None:
    greedy = dict(world.services)
    greedy["users"] = replace(world.services["users"], claims=frozenset({"sub", "scope", "act", "email"}))
    subject = person(claims={"sub": "local|root", "scope": "all", "act": {}, "email": "e"})
    granted = decide("posts", subject, trust=TrustDocument(services=greedy), audience="users")
    assert granted.extra == {"email": "e"}


def test_a_story_without_a_name_gets_one(decide: Decide) -> None:
    assert decide("posts", person(story_id=None), audience="users").claims.txn == "story-new"


@pytest.mark.parametrize("missing", ["subject_token", "subject_token_type"])
def test_the_subject_token_and_its_type_are_required(decide: Decide, missing: str) -> None:
    with pytest.raises(InvalidRequest, match=missing):
        decide("posts", person(), audience="users", **{missing: ""})

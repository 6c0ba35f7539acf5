"""Who may call whom: each sentence of the rules, one by one."""

from collections.abc import Iterable
from typing import Any

import pytest

from watchword.errors import InvalidRequest, InvalidScope, InvalidTarget, OAuthError
from watchword.trust.model import Rule, TrustDocument
from watchword.trust.rules import Ask, Decision, decide

from .conftest import document, rule, service


def world(*rules: Rule) -> TrustDocument:
    return document(
        service("users", "users:read", "users:write", "posts:read", allow=rules),
        service("posts", "posts:read", allow=(rule("web", "posts:read", name="services.posts.allow[0]"),)),
        service("web"),
    )


def asked(
    trust: TrustDocument,
    caller: str = "posts",
    callee: str = "users",
    *,
    kind: Any = "person",
    holds: Iterable[str] | None = ("posts:read",),
    scope: Iterable[str] | None = None,
    actors: tuple[str, ...] = (),
) -> Decision:
    held = None if holds is None else frozenset(holds)
    requested = None if scope is None else frozenset(scope)
    return decide(trust, Ask(caller, trust.services[callee], kind, held, requested, actors))


def derived(*scopes: str, **members: Any) -> Rule:
    return rule("posts", *scopes, when_subject_has=frozenset({"posts:read"}), **members)


def chain(length: int) -> tuple[str, ...]:
    return tuple(f"service|s{n}" for n in range(length))


@pytest.mark.threat(109)
def test_without_a_document_everything_is_denied() -> None:
    trust = TrustDocument({name: service(name, "a") for name in ("users", "posts")})
    with pytest.raises(InvalidTarget, match="no rule of users lets posts call it"):
        asked(trust)


@pytest.mark.threat(109)
@pytest.mark.parametrize(
    ("caller", "callee"), [("web", "users"), ("users", "posts"), ("users", "users"), ("posts", "web")]
)
def test_a_rule_is_for_one_caller_at_one_callee_in_one_direction(caller: str, callee: str) -> None:
    with pytest.raises(InvalidTarget):
        asked(world(derived("users:read")), caller, callee)


@pytest.mark.threat(109)
def test_a_scope_asked_for_does_not_open_a_door_that_no_rule_opens() -> None:
    with pytest.raises(InvalidTarget):
        asked(world(), scope=["users:read"], holds=["users:read", "users:write"])


@pytest.mark.threat(110)
def test_more_than_the_rule_gives_is_cut() -> None:
    decision = asked(world(derived("users:read")), scope=["users:read", "users:write", "admin"])
    assert decision.scope == {"users:read"}


@pytest.mark.threat(110)
def test_nothing_of_what_is_asked_is_invalid_scope() -> None:
    for scope in (["users:write"], ["admin"], []):
        with pytest.raises(InvalidScope):
            asked(world(derived("users:read")), scope=scope, holds=["posts:read", "users:write"])


@pytest.mark.threat(110)
def test_no_scope_asked_means_all_that_the_rules_give() -> None:
    assert asked(world(derived("users:read", "users:write"))).scope == {"users:read", "users:write"}


@pytest.mark.threat(242)
def test_without_when_subject_has_only_what_the_subject_holds_itself_passes() -> None:
    trust = world(rule("posts", "users:read", "posts:read"))
    decision = asked(trust, holds=["posts:read", "users:write"])
    assert decision.scope == {"posts:read"}
    assert decision.derived == frozenset()
    with pytest.raises(InvalidScope):
        asked(trust, holds=["users:write"])
    with pytest.raises(InvalidScope):
        asked(trust, scope=["users:read"])


@pytest.mark.threat(242)
def test_derived_scopes_are_named_as_derived() -> None:
    decision = asked(world(derived("users:read", "posts:read")))
    assert decision.scope == {"users:read", "posts:read"}
    assert decision.derived == {"users:read"}


@pytest.mark.threat(242)
def test_when_subject_has_means_all_of_it() -> None:
    trust = world(rule("posts", "users:read", when_subject_has=frozenset({"a", "b"})))
    assert asked(trust, holds=["a", "b", "c"]).scope == {"users:read"}
    for holds in (["a"], ["b", "c"], [], ["users:read"]):
        with pytest.raises(InvalidScope):
            asked(trust, holds=holds)


@pytest.mark.parametrize(("on_behalf_of", "kind", "fits"), [
    ("person", "person", True), ("person", "service", False),
    ("service", "person", False), ("service", "service", True),
    ("any", "person", True), ("any", "service", True),
])  # fmt: skip
def test_a_rule_speaks_of_people_of_services_or_of_both(on_behalf_of: Any, kind: str, fits: bool) -> None:
    trust = world(derived("users:read", on_behalf_of=on_behalf_of))
    if fits:
        assert asked(trust, kind=kind).scope == {"users:read"}
    else:
        with pytest.raises(InvalidTarget, match=r"services\.users\.allow\[0\]: no rule on behalf of a"):
            asked(trust, kind=kind)


def test_the_union_of_the_rules_that_fit_is_given() -> None:
    trust = world(
        derived("users:read", name="r0"),
        derived("users:write", name="r1"),
        derived("posts:read", name="r2", on_behalf_of="service"),
    )
    decision = asked(trust)
    assert decision.scope == {"users:read", "users:write"}
    assert decision.rules == ("r0", "r1")


def test_the_strictest_of_the_deciding_rules_holds_for_the_whole_token() -> None:
    trust = world(
        derived("users:read", lifetime=300, max_chain=2),
        derived("users:write", lifetime=60, max_chain=5),
    )
    both = asked(trust)
    assert (both.lifetime, both.max_chain) == (60, 2)
    with pytest.raises(InvalidRequest):
        asked(trust, actors=chain(2))


def test_who_asks_for_less_is_bound_by_less() -> None:
    trust = world(
        derived("users:read", lifetime=300, max_chain=8), derived("users:write", lifetime=60, max_chain=1)
    )
    assert asked(trust, scope=["users:read"], actors=chain(3)).lifetime == 300
    for scope in (None, ["users:write"], ["users:read", "users:write"]):
        with pytest.raises(InvalidRequest):
            asked(trust, scope=scope, actors=chain(3))


def test_a_rule_that_gives_nothing_here_has_no_say() -> None:
    tight = rule(
        "posts", "users:write", when_subject_has=frozenset({"root"}), lifetime=1, max_chain=1, name="tight"
    )
    decision = asked(world(tight, derived("users:read", lifetime=300)), actors=chain(3))
    assert (decision.lifetime, decision.rules) == (300, ("services.users.allow[0]",))


def test_a_looser_rule_beside_a_tight_one_does_not_loosen_it() -> None:
    trust = world(
        derived("users:read", lifetime=10, max_chain=1), derived("users:read", lifetime=300, max_chain=8)
    )
    assert asked(trust, scope=["users:read"]).lifetime == 10
    with pytest.raises(InvalidRequest):
        asked(trust, scope=["users:read"], actors=chain(1))


@pytest.mark.threat(119)
def test_a_chain_is_as_long_as_the_rule_allows_and_no_longer() -> None:
    for most in range(1, 9):
        trust = world(derived("users:read", max_chain=most))
        assert asked(trust, actors=chain(most - 1)).max_chain == most
        with pytest.raises(
            InvalidRequest, match=f"at most {most} actors?, found {most + 1} with the current one"
        ):
            asked(trust, actors=chain(most))


@pytest.mark.threat(119)
@pytest.mark.parametrize(
    "actors",
    [
        ("service|posts",),
        ("service|web", "service|posts"),
        ("service|posts", "service|web"),
        ("service|web",) * 2,
    ],
)
@pytest.mark.parametrize("act_as", ["actor", "subject"])
def test_nobody_acts_twice_in_a_chain_not_even_by_impersonation(actors: tuple[str, ...], act_as: Any) -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        asked(world(derived("users:read", act_as=act_as)), actors=actors)


def test_a_person_with_the_name_of_the_caller_is_not_the_caller() -> None:
    assert asked(world(derived("users:read")), actors=("local|posts", "posts"))


def test_impersonation_needs_every_deciding_rule() -> None:
    plain, hidden = derived("users:read"), derived("users:write", act_as="subject")
    assert asked(world(plain)).act_as == "actor"
    assert asked(world(hidden)).act_as == "subject"
    assert asked(world(plain, hidden)).act_as == "actor"
    assert asked(world(plain, hidden), scope=["users:write"]).act_as == "subject"


def test_impersonation_adds_nobody_to_the_chain() -> None:
    trust = world(derived("users:read", act_as="subject", max_chain=2))
    assert asked(trust, actors=chain(2))
    with pytest.raises(InvalidRequest):
        asked(trust, actors=chain(3))


def test_a_service_in_its_own_name_gets_what_the_rule_says() -> None:
    trust = world(rule("posts", "users:read", "users:write", on_behalf_of="service", lifetime=30))
    decision = asked(trust, kind="service", holds=None)
    assert (decision.scope, decision.derived, decision.lifetime) == (
        {"users:read", "users:write"},
        frozenset(),
        30,
    )
    assert asked(trust, kind="service", holds=None, scope=["users:read", "x"]).scope == {"users:read"}
    with pytest.raises(InvalidScope):
        asked(trust, kind="service", holds=None, scope=["x"])


@pytest.mark.threat(242)
def test_a_service_in_its_own_name_never_derives() -> None:
    with pytest.raises(InvalidTarget, match="in its own name"):
        asked(world(derived("users:read", on_behalf_of="any")), kind="service", holds=None)
    with pytest.raises(InvalidTarget, match="in its own name"):
        asked(world(rule("posts", "users:read", on_behalf_of="person")), kind="service", holds=None)


@pytest.mark.threat(124)
def test_a_decision_is_about_one_callee() -> None:
    trust = world(derived("users:read"))
    ask = Ask("posts", trust.services["users"], "person", frozenset({"posts:read"}), None)
    assert ask.callee.audience == "users"
    with pytest.raises(InvalidTarget):
        asked(trust, callee="web")


@pytest.mark.parametrize(("kind", "actors"), [("person", ()), ("service", ("service|web",))])
def test_an_ask_without_a_subject_token_speaks_of_the_service_alone(
    kind: Any, actors: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="in its own name"):
        asked(world(), kind=kind, holds=None, actors=actors)


@pytest.mark.parametrize(("caller", "scope", "actors", "error"), [
    ("web", ["nothing"], ("service|web",), "invalid_target"),
    ("posts", ["nothing"], ("service|posts",), "invalid_request"),
    ("posts", ["nothing"], chain(8), "invalid_scope"),
    ("posts", None, chain(8), "invalid_request"),
])  # fmt: skip
def test_of_several_faults_the_first_in_the_order_of_the_page_is_answered(
    caller: str, scope: list[str] | None, actors: tuple[str, ...], error: str
) -> None:
    with pytest.raises(OAuthError) as raised:
        asked(world(derived("users:read")), caller, scope=scope, actors=actors)
    assert raised.value.error == error


def test_a_refusal_tells_the_operator_the_rule_and_the_client_nothing() -> None:
    with pytest.raises(InvalidScope) as raised:
        asked(world(derived("users:read", name="services.users.allow[7]")), holds=["x"])
    assert "services.users.allow[7]" in str(raised.value)
    assert "allow" not in raised.value.public

"""Why, in words; and a change that really turns the decision."""

import json
import tomllib
from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings

from watchword.trust.changes import Edit
from watchword.trust.document import from_json, to_json
from watchword.trust.explain import Explanation, explain
from watchword.trust.model import TrustDocument
from watchword.trust.rules import Ask

from .conftest import document, rule, service
from .worlds import worlds

READERS = frozenset({"posts:read"})


def explained(*rules: Any, caller: str = "posts", **members: Any) -> Explanation:
    trust = document(
        service("users", "users:read", "users:write", allow=rules),
        service("posts", "posts:read"),
        service("web"),
    )
    ask = {"kind": "person", "subject_scope": READERS, "requested": None, "actors": ()} | members
    return explain(trust, Ask(caller, trust.services["users"], **ask))


def applied(trust: TrustDocument, edits: tuple[Edit, ...]) -> TrustDocument:
    """The document as somebody would have it who did what the explanation says."""
    raw = json.loads(to_json(trust))
    allow = raw["services"]["users"]["allow"]
    gone = []
    for edit in edits:
        members = tomllib.loads("\n".join(edit.lines))
        if edit.action == "add":
            assert edit.place == "services.users.allow"
            allow.append(members)
        elif edit.place == "services.users":
            raw["services"]["users"] |= members
        else:
            index = int(edit.place.removeprefix("services.users.allow[").removesuffix("]"))
            if edit.action == "remove":
                gone.append(allow[index])
            else:
                allow[index] |= members
    raw["services"]["users"]["allow"] = [entry for entry in allow if not any(entry is old for old in gone)]
    return from_json(json.dumps(raw).encode())


@settings(max_examples=400, deadline=None)
@given(worlds())
def test_the_change_turns_the_decision(world: tuple[TrustDocument, Ask]) -> None:
    trust, ask = world
    before = explain(trust, ask)
    assume(before.edits)
    changed = applied(trust, before.edits)
    after = explain(changed, replace(ask, callee=changed.services["users"]))
    assert after.allowed != before.allowed, before.change


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_a_refusal_without_a_change_is_one_that_the_ask_itself_causes(
    world: tuple[TrustDocument, Ask],
) -> None:
    trust, ask = world
    explanation = explain(trust, ask)
    if explanation.allowed or explanation.edits:
        return
    with_caller = [*ask.actors, f"service|{ask.caller}"]
    assert (
        len(set(with_caller)) != len(with_caller)
        or len(with_caller) > 8
        or ask.requested == frozenset()
        or ask.subject_scope == frozenset()
    ), explanation.change


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_every_rule_of_the_pair_is_told_and_no_other(world: tuple[TrustDocument, Ask]) -> None:
    trust, ask = world
    explanation = explain(trust, ask)
    pair = trust.rules("users", ask.caller)
    assert [name for name, _ in explanation.steps] == [one.name for one in pair]
    assert set(explanation.rules) <= {one.name for one in pair}


def test_an_allowed_call_names_its_rule_what_is_derived_and_what_is_not_given() -> None:
    explanation = explained(
        rule("posts", "users:read", when_subject_has=READERS),
        requested=frozenset({"users:read", "users:write"}),
    )
    assert explanation.allowed
    assert explanation.rules == ("services.users.allow[0]",)
    assert explanation.reason == (
        "allowed by services.users.allow[0]; the subject token does not hold users:read: derived by "
        "when_subject_has; of what was asked for users:write is not given"
    )
    assert explanation.change == "to deny it take out services.users.allow[0]"


def test_a_missing_rule_is_written_out_with_no_more_than_is_needed() -> None:
    explanation = explained()
    assert explanation.error == "invalid_target"
    assert explanation.reason == "no rule of users lets posts call it"
    assert explanation.change.splitlines() == [
        "[[services.users.allow]]",
        'caller = "posts"',
        'scopes = ["users:read"]',
        'on_behalf_of = "person"',
        'when_subject_has = ["posts:read"]',
    ]


def test_a_rule_for_the_other_kind_is_widened() -> None:
    explanation = explained(rule("posts", "users:read", when_subject_has=READERS, on_behalf_of="service"))
    assert explanation.steps == (
        ("services.users.allow[0]", "is for a service (on_behalf_of), not for a person"),
    )
    assert explanation.change == 'in services.users.allow[0]: on_behalf_of = "any"'


def test_a_rule_without_when_subject_has_is_told_to_intersect() -> None:
    explanation = explained(rule("posts", "users:read"))
    assert explanation.error == "invalid_scope"
    assert explanation.steps[0][1] == (
        "gives users:read to a subject token that holds it itself; this one holds posts:read"
    )
    assert explanation.change == 'in services.users.allow[0]: when_subject_has = ["posts:read"]'


def test_what_the_subject_token_lacks_is_named() -> None:
    needs = rule("posts", "users:read", when_subject_has=frozenset({"posts:read", "premium"}))
    assert explained(needs).steps[0][1] == (
        "gives users:read to a subject token that holds posts:read, premium; this one lacks premium"
    )


def test_a_scope_that_no_rule_gives_is_added_to_one() -> None:
    explanation = explained(
        rule("posts", "users:read", when_subject_has=READERS), requested=frozenset({"users:write"})
    )
    assert explanation.change == 'in services.users.allow[0]: scopes = ["users:read", "users:write"]'


def test_a_scope_that_the_callee_does_not_know_is_added_to_both() -> None:
    change = explained(requested=frozenset({"users:delete"})).change
    assert 'in services.users: scopes = ["users:delete", "users:read", "users:write"]' in change
    assert 'scopes = ["users:delete"]\n' in change


def test_a_chain_that_is_too_long_is_lengthened_where_it_is_too_short() -> None:
    explanation = explained(
        rule("posts", "users:read", when_subject_has=READERS, max_chain=1),
        rule("posts", "users:write", when_subject_has=READERS, max_chain=5, name="services.users.allow[1]"),
        actors=("service|web",),
    )
    assert explanation.error == "invalid_request"
    assert explanation.rules == ("services.users.allow[0]",)
    assert explanation.change == "in services.users.allow[0]: max_chain = 2"
    assert explanation.steps[0][1] == "gives users:read, in a chain of at most 1, and this one would have 2"


def test_a_circle_is_not_blamed_on_the_rules() -> None:
    explanation = explained(rule("posts", "users:read", when_subject_has=READERS), actors=("service|posts",))
    assert explanation.error == "invalid_request"
    assert explanation.edits == ()
    assert "break the circle of calls" in explanation.change


def test_a_caller_that_is_not_registered_gets_a_table() -> None:
    explanation = explained(caller="reports")
    assert explanation.change.startswith(
        '[services.reports]\naudience = "reports"\njwks_file = "reports.jwks.json"\n'
    )


def test_a_callee_without_scopes_is_told_to_have_some() -> None:
    trust = document(service("users"), service("posts", "posts:read"))
    explanation = explain(trust, Ask("posts", trust.services["users"], "person", READERS, None))
    assert explanation.change == "users has no scopes to give: add scopes to its table first"

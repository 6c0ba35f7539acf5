"""Any rules, any ask: the decision against a second, naive one, and what must hold of every decision."""

from dataclasses import replace

import pytest
from hypothesis import given, settings

from watchword.errors import OAuthError
from watchword.trust.explain import explain
from watchword.trust.model import TrustDocument
from watchword.trust.rules import Ask, Decision, decide

from .worlds import worlds

many = settings(max_examples=400, deadline=None)


def outcome(trust: TrustDocument, ask: Ask) -> Decision | str:
    try:
        return decide(trust, ask)
    except OAuthError as error:
        return error.error


def naive(trust: TrustDocument, ask: Ask) -> Decision | str:
    """The page of the reference, sentence by sentence, scope by scope, without a thought for speed."""
    pair = [r for s in trust.services.values() if s.client_id == ask.callee.client_id for r in s.allow]
    pair = [r for r in pair if r.caller == ask.caller]
    own_name = ask.subject_scope is None
    fitting = []
    for r in pair:
        if r.on_behalf_of == "person" and ask.kind == "service":
            continue
        if r.on_behalf_of == "service" and ask.kind == "person":
            continue
        if own_name and r.when_subject_has:
            continue
        fitting.append(r)
    if not fitting:
        return "invalid_target"
    for actor in [*ask.actors, f"service|{ask.caller}"]:
        if [*ask.actors, f"service|{ask.caller}"].count(actor) > 1:
            return "invalid_request"
    granted: set[str] = set()
    deciding = []
    for r in fitting:
        gives = False
        for scope in r.scopes:
            if ask.requested is not None and scope not in ask.requested:
                continue
            if own_name:
                allowed = True
            elif r.when_subject_has:
                allowed = all(needed in (ask.subject_scope or ()) for needed in r.when_subject_has)
            else:
                allowed = scope in (ask.subject_scope or ())
            if allowed:
                granted.add(scope)
                gives = True
        if gives:
            deciding.append(r)
    if not granted:
        return "invalid_scope"
    impersonation = not [r for r in deciding if r.act_as == "actor"]
    new_chain = [] if own_name else [*ask.actors, *([] if impersonation else [f"service|{ask.caller}"])]
    for r in deciding:
        if len(new_chain) > r.max_chain:
            return "invalid_request"
    return Decision(
        scope=frozenset(granted),
        derived=frozenset()
        if own_name
        else frozenset(s for s in granted if s not in (ask.subject_scope or ())),
        lifetime=min(r.lifetime for r in deciding),
        act_as="subject" if impersonation else "actor",
        max_chain=min(r.max_chain for r in deciding),
        rules=tuple(r.name for r in deciding),
    )


@pytest.mark.threat(109, 110, 119, 242)
@many
@given(worlds())
def test_the_decision_is_the_one_that_the_page_describes(world: tuple[TrustDocument, Ask]) -> None:
    assert outcome(*world) == naive(*world)


@many
@given(worlds())
def test_explain_and_decide_never_differ(world: tuple[TrustDocument, Ask]) -> None:
    decided, explained = outcome(*world), explain(*world)
    assert explained.allowed == isinstance(decided, Decision)
    assert (explained.decision if explained.allowed else explained.error) == decided


@pytest.mark.threat(110, 242)
@many
@given(worlds())
def test_nothing_is_ever_given_beyond_the_rules_the_request_and_the_subject(
    world: tuple[TrustDocument, Ask],
) -> None:
    trust, ask = world
    decided = outcome(trust, ask)
    if not isinstance(decided, Decision):
        return
    deciding = [rule for rule in trust.services["users"].allow if rule.name in decided.rules]
    assert decided.scope
    assert decided.scope <= frozenset[str]().union(*(rule.scopes for rule in deciding))
    assert ask.requested is None or decided.scope <= ask.requested
    assert all(rule.caller == ask.caller and rule.on_behalf_of in ("any", ask.kind) for rule in deciding)
    derivable = (rule.scopes for rule in deciding if rule.when_subject_has is not None)
    assert decided.derived <= frozenset[str]().union(*derivable)
    assert decided.lifetime <= min(rule.lifetime for rule in deciding)


@pytest.mark.threat(110)
@many
@given(worlds())
def test_who_asks_for_less_never_gets_more(world: tuple[TrustDocument, Ask]) -> None:
    trust, ask = world
    whole = outcome(trust, ask)
    if not isinstance(whole, Decision):
        return
    for scope in whole.scope:
        part = outcome(trust, replace(ask, requested=frozenset({scope})))
        assert isinstance(part, Decision)
        assert part.scope == {scope}


@many
@given(worlds())
def test_a_rule_for_somebody_else_changes_nothing(world: tuple[TrustDocument, Ask]) -> None:
    trust, ask = world
    users = trust.services["users"]
    alone = replace(users, allow=tuple(rule for rule in users.allow if rule.caller == ask.caller))
    without = TrustDocument({**trust.services, "users": alone})
    assert outcome(without, replace(ask, callee=alone)) == outcome(trust, ask)

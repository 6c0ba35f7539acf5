"""The smallest change of the document that turns a decision: tried on the rules before it is told."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from watchword.tokens.claims import MAX_ACTORS
from watchword.trust.model import Rule, TrustDocument
from watchword.trust.problems import below, key_name
from watchword.trust.rules import Ask, Weighed, cycle, weigh


@dataclass(frozen=True, slots=True)
class Edit:
    """One step of a change."""

    action: Literal["add", "set", "remove"]
    """A new table, keys of a table that is there, or a table that goes."""
    place: str
    """`services.users.allow[0]`, or `services.users.allow` for a new rule."""
    lines: tuple[str, ...] = ()
    """TOML: the keys that are added or set."""


def changes(
    document: TrustDocument, ask: Ask, rules: Sequence[Rule], weighed: Weighed
) -> tuple[str, tuple[Edit, ...]]:
    """Return the change in words and as edits; no edits where it is the ask that must change."""
    if weighed.decision is not None:
        gone = tuple(Edit("remove", name) for name in weighed.decision.rules)
        return f"to deny it take out {' and '.join(edit.place for edit in gone)}", gone
    hopeless = _beyond_rules(ask, weighed)
    if hopeless is not None:
        return hopeless, ()
    tried = sorted(_candidates(ask, rules, weighed), key=lambda candidate: len(candidate[0]))
    for edits, changed in tried:
        if weigh(changed, ask).decision is not None:
            complete = (*_registered(document, ask), *edits)
            return "\n".join(_words(edit) for edit in complete), complete
    return f"{ask.callee.client_id} has no scopes to give: add scopes to its table first", ()


def _beyond_rules(ask: Ask, weighed: Weighed) -> str | None:
    """Return what to do where no rule could help."""
    circle = cycle(ask)
    if circle is not None:
        return f"no rule allows this: {circle}; break the circle of calls"
    if weighed.length > MAX_ACTORS:
        return f"no rule allows this: a chain has at most {MAX_ACTORS} actors; shorten the chain of calls"
    if ask.requested is not None and not ask.requested:
        return "no rule allows this: ask for a scope, or leave scope out to get all that the rules give"
    if ask.subject_scope is not None and not ask.subject_scope:
        return "no rule allows this: the subject token holds no scope that one could build on"
    return None


def _candidates(
    ask: Ask, rules: Sequence[Rule], weighed: Weighed
) -> Iterator[tuple[tuple[Edit, ...], Sequence[Rule]]]:
    """Yield changes with the rules as they would be then: keys of one rule first, then a new rule."""
    if weighed.refused == "chain":
        tight = [offer.rule for offer in weighed.deciding if offer.rule.max_chain < weighed.length]
        raised = [replace(rule, max_chain=weighed.length) if rule in tight else rule for rule in rules]
        yield tuple(_set(rule, max_chain=weighed.length) for rule in tight), raised
        return
    wanted = _wanted(ask, rules)
    listed = _listed(ask, wanted)
    for index, rule in enumerate(rules):
        for members, more in _other_keys(ask, rule, wanted, listed):
            changed = [*rules[:index], replace(rule, **members), *rules[index + 1 :]]
            yield (*more, _set(rule, **members)), changed
    if wanted:
        new = _new_rule(ask, wanted)
        yield (*listed, Edit("add", _allow(ask), _lines(_members(new)))), [*rules, new]


def _other_keys(
    ask: Ask, rule: Rule, wanted: frozenset[str], listed: tuple[Edit, ...]
) -> Iterator[tuple[dict[str, Any], tuple[Edit, ...]]]:
    """Yield one key of a rule with another value, and what else must change for it."""
    if rule.on_behalf_of not in ("any", ask.kind):
        yield {"on_behalf_of": "any"}, ()
    held = ask.subject_scope
    if held:
        kept = held if rule.when_subject_has is None else rule.when_subject_has & held
        if kept:
            yield {"when_subject_has": kept}, ()
    if ask.requested is not None and wanted - rule.scopes:
        yield {"scopes": rule.scopes | wanted}, listed


def _wanted(ask: Ask, rules: Sequence[Rule]) -> frozenset[str]:
    """Return the scopes that a new rule would give: no more than turns the decision.

    What was asked for, as far as the callee knows it; if nothing was named, what the subject token holds of
    the callee's scopes, what the other rules of the pair give, or any one scope.
    """
    known = ask.callee.scopes
    if ask.requested is not None:
        return ask.requested & known or ask.requested
    given = frozenset[str]().union(*(rule.scopes for rule in rules))
    return known & (ask.subject_scope or frozenset()) or given or frozenset(sorted(known)[:1])


def _listed(ask: Ask, wanted: frozenset[str]) -> tuple[Edit, ...]:
    """Return the edit of the callee's own `scopes` if it does not know what is wanted."""
    if wanted <= ask.callee.scopes:
        return ()
    place = below("services", ask.callee.client_id)
    return (Edit("set", place, _lines({"scopes": ask.callee.scopes | wanted})),)


def _new_rule(ask: Ask, wanted: frozenset[str]) -> Rule:
    held = ask.subject_scope
    return Rule(
        name=_allow(ask),
        caller=ask.caller,
        scopes=wanted,
        on_behalf_of=ask.kind,
        when_subject_has=None if held is None or wanted & held else held,
    )


def _members(rule: Rule) -> dict[str, Any]:
    members = {"caller": rule.caller, "scopes": rule.scopes, "on_behalf_of": rule.on_behalf_of}
    return members if rule.when_subject_has is None else members | {"when_subject_has": rule.when_subject_has}


def _registered(document: TrustDocument, ask: Ask) -> tuple[Edit, ...]:
    """Return the table of the caller if the document does not know it."""
    if ask.caller in document.services:
        return ()
    members = {"audience": ask.caller, "jwks_file": f"{ask.caller}.jwks.json"}
    return (Edit("add", below("services", ask.caller), _lines(members)),)


def _allow(ask: Ask) -> str:
    return f"{below('services', ask.callee.client_id)}.allow"


def _set(rule: Rule, **members: Any) -> Edit:
    return Edit("set", rule.name, _lines(members))


def _lines(members: dict[str, Any]) -> tuple[str, ...]:
    return tuple(f"{key_name(name)} = {_toml(value)}" for name, value in members.items())


def _toml(value: Any) -> str:
    """Return a value as TOML: what stands here are short texts, numbers and sets of texts."""
    return json.dumps(sorted(value) if isinstance(value, frozenset) else value)


def _words(edit: Edit) -> str:
    if edit.action == "set":
        return f"in {edit.place}: {', '.join(edit.lines)}"
    header = f"[[{edit.place}]]" if edit.place.endswith(".allow") else f"[{edit.place}]"
    return "\n".join((header, *edit.lines))

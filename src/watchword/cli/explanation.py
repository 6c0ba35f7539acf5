"""How `watchword trust explain` prints its answer: words for people, members for programs."""

from typing import Any

from watchword.cli.output import say
from watchword.trust.explain import Explanation, listed
from watchword.trust.rules import Ask
from watchword.trust.values import in_words


def tell(ask: Ask, explanation: Explanation, *, assumed: bool) -> None:
    """Print verdict and reason, what is granted, what each rule says, and what would turn it."""
    verdict = "allowed" if explanation.allowed else f"denied ({explanation.error})"
    say(f"{verdict}: {ask.caller} calls {ask.callee.client_id} {_on_behalf(ask)}")
    say(f"  {explanation.reason}")
    if assumed:
        held = listed(ask.subject_scope or frozenset())
        say(f"  assumed: the subject token holds {held}; --subject-scope says otherwise")
    if explanation.decision is not None:
        say()
        for name, value in _granted(ask, explanation):
            say(f"  {name:<9} {value}")
    if explanation.steps:
        say()
        say(f"What each rule of {ask.callee.client_id} for {ask.caller} says here:")
        for name, step in explanation.steps:
            say(f"  {name} {step}")
    say()
    say("To turn it:")
    for line in explanation.change.splitlines():
        say(f"  {line}")


def _on_behalf(ask: Ask) -> str:
    return "in its own name" if ask.subject_scope is None else f"on behalf of a {ask.kind}"


def _granted(ask: Ask, explanation: Explanation) -> list[tuple[str, str]]:
    decision = explanation.decision
    if decision is None:
        return []
    lines = [("scope", listed(decision.scope)), ("lifetime", f"{in_words(decision.lifetime)} at most")]
    if ask.subject_scope is None:
        return lines
    if decision.derived:
        lines.insert(1, ("derived", f"{listed(decision.derived)}, not held by the subject token itself"))
    acts = decision.act_as == "actor"
    length = len(ask.actors) + acts
    return [
        *lines,
        ("chain", f"{length} of at most {decision.max_chain}"),
        ("actor", ask.caller if acts else f"not {ask.caller}: impersonation"),
    ]


def members(explanation: Explanation) -> dict[str, Any]:
    """Return the same as one JSON object."""
    decision = explanation.decision
    return {
        "ok": explanation.allowed,
        "error": explanation.error,
        "reason": explanation.reason,
        "rules": explanation.rules,
        "steps": [{"rule": name, "says": step} for name, step in explanation.steps],
        "change": explanation.change,
        "edits": [
            {"action": edit.action, "place": edit.place, "lines": edit.lines} for edit in explanation.edits
        ],
        "decision": None
        if decision is None
        else {
            "scope": sorted(decision.scope),
            "derived": sorted(decision.derived),
            "lifetime": decision.lifetime,
            "act_as": decision.act_as,
            "max_chain": decision.max_chain,
            "rules": decision.rules,
        },
    }

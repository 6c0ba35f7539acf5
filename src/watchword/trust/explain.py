"""Why a caller may or may not call, in words, and the smallest change that would turn the decision."""

from collections.abc import Sequence
from dataclasses import dataclass

from watchword.trust.changes import Edit, changes
from watchword.trust.model import Rule, TrustDocument
from watchword.trust.rules import Ask, Decision, Weighed, error_for, offered, weigh


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with its reasons; `decision` is exactly what `decide` returns or would have returned."""

    allowed: bool
    rules: tuple[str, ...]
    """The rules that decided: those that give, or those that stand in the way."""
    reason: str
    """One sentence."""
    steps: tuple[tuple[str, str], ...]
    """Every rule of the pair by its name, and what it says here."""
    change: str
    """What to do to turn the decision, as lines of the document where a document can do it."""
    edits: tuple[Edit, ...]
    """The same for a program; empty where it is the ask that must change."""
    decision: Decision | None
    error: str | None
    """The OAuth error code that `decide` answers with."""


def explain(document: TrustDocument, ask: Ask) -> Explanation:
    """Explain what `decide` decides about the same ask; never raises for a refusal."""
    rules = document.rules(ask.callee.client_id, ask.caller)
    weighed = weigh(rules, ask)
    change, edits = changes(document, ask, rules, weighed)
    decision = weighed.decision
    return Explanation(
        allowed=decision is not None,
        rules=_deciding(rules, weighed),
        reason=weighed.reason if decision is None else _granted(ask, decision),
        steps=tuple((rule.name, _step(rule, ask, weighed)) for rule in rules),
        change=change,
        edits=edits,
        decision=decision,
        error=None if decision is not None else error_for(weighed).error,
    )


def _deciding(rules: Sequence[Rule], weighed: Weighed) -> tuple[str, ...]:
    if weighed.decision is not None:
        return weighed.decision.rules
    by_step: dict[str | None, Sequence[Rule]] = {
        "kind": rules,
        "scope": weighed.fitting,
        "chain": [offer.rule for offer in weighed.deciding if offer.rule.max_chain < weighed.length],
    }
    return tuple(rule.name for rule in by_step.get(weighed.refused, ()))


def _granted(ask: Ask, decision: Decision) -> str:
    parts = [f"allowed by {', '.join(decision.rules)}"]
    if decision.derived:
        parts.append(
            f"the subject token does not hold {listed(decision.derived)}: derived by when_subject_has"
        )
    cut = (ask.requested or frozenset()) - decision.scope
    if cut:
        parts.append(f"of what was asked for {listed(cut)} is not given")
    return "; ".join(parts)


def _step(rule: Rule, ask: Ask, weighed: Weighed) -> str:
    if rule not in weighed.fitting:
        return _unfit(rule, ask)
    scope = offered(rule, ask)
    if not scope:
        return _nothing(rule, ask)
    tight = weighed.refused == "chain" and rule.max_chain < weighed.length
    limit = f", in a chain of at most {rule.max_chain}, and this one would have {weighed.length}"
    return f"gives {listed(scope)}{limit if tight else ''}"


def _unfit(rule: Rule, ask: Ask) -> str:
    if rule.on_behalf_of not in ("any", ask.kind):
        return f"is for a {rule.on_behalf_of} (on_behalf_of), not for a {ask.kind}"
    return "needs a subject token (when_subject_has), and a service in its own name has none"


def _nothing(rule: Rule, ask: Ask) -> str:
    wanted = rule.scopes if ask.requested is None else rule.scopes & ask.requested
    if not wanted:
        return f"gives {listed(rule.scopes)}, of which nothing was asked for"
    held = ask.subject_scope or frozenset()
    if rule.when_subject_has is not None:
        needed, missing = listed(rule.when_subject_has), listed(rule.when_subject_has - held)
        return f"gives {listed(wanted)} to a subject token that holds {needed}; this one lacks {missing}"
    return f"gives {listed(wanted)} to a subject token that holds it itself; this one holds {listed(held)}"


def listed(names: frozenset[str]) -> str:
    """Return names in a stable order, as a sentence has them."""
    return ", ".join(sorted(names)) if names else "nothing"

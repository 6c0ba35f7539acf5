"""Who may call whom, for whom and with what: the one decision, pure.

What the rules of one (callee, caller) pair mean together:

1. A rule *fits* if its `on_behalf_of` names the kind of subject. A service that asks in its own name
   (`client_credentials`) is of kind service and fits no rule with `when_subject_has`: there is no subject
   token that could hold anything.
2. A rule that fits *offers* scopes: its `scopes`, if the subject token holds all of `when_subject_has`, or
   nothing; without `when_subject_has` those of its `scopes` that the subject token holds itself; to a service
   in its own name all its `scopes`. Of that only what was asked for counts, if something was asked for.
3. A rule that offers at least one scope *decides*. The scope granted is the union of what the deciding rules
   offer. A rule that offers nothing here is as if it were not there, also with its limits.
4. Of the deciding rules the strictest holds for the whole token: the shortest `lifetime`, the smallest
   `max_chain`, and `act_as = "actor"` unless every one of them says `"subject"`. A token has one `exp` and
   one `act`, so a scope with loose limits never lends them to a scope with tight ones, and where two rules
   offer the same scope the tighter one cannot be passed by. Who needs the looser limits asks for less.
5. A chain that is too long for the strictest deciding rule is refused, not cut.
6. The caller must not be in the chain yet and nobody twice, whatever the rules say, impersonation included.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from watchword.errors import InvalidRequest, InvalidScope, InvalidTarget
from watchword.trust.model import Rule, Service, SubjectKind, TrustDocument, service_subject

Refused = Literal["no_rule", "kind", "cycle", "scope", "chain"]
"""Why there is no token; each is one step of the decision."""

_ERRORS: dict[Refused, type[InvalidTarget | InvalidScope | InvalidRequest]] = {
    "no_rule": InvalidTarget,
    "kind": InvalidTarget,
    "cycle": InvalidRequest,
    "scope": InvalidScope,
    "chain": InvalidRequest,
}


@dataclass(frozen=True, slots=True)
class Ask:
    """What a caller wants of a callee."""

    caller: str
    """`client_id` of the authenticated client."""
    callee: Service
    kind: SubjectKind
    """Who the token will speak of."""
    subject_scope: frozenset[str] | None
    """What the subject token holds; `None`: there is none, the service asks in its own name."""
    requested: frozenset[str] | None
    """`None`: whatever the rules give."""
    actors: tuple[str, ...] = ()
    """`sub`s of the actors in the subject token, outermost first."""

    def __post_init__(self) -> None:
        if self.subject_scope is None and (self.kind != "service" or self.actors):
            raise ValueError(
                "expected a subject token: without one a service asks in its own name, and nobody acts"
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """What the new token may say."""

    scope: frozenset[str]
    """Never empty."""
    derived: frozenset[str]
    """Those of `scope` that the subject token did not hold itself."""
    lifetime: int
    """Seconds, at most."""
    act_as: Literal["actor", "subject"]
    """Without a meaning for a service in its own name."""
    max_chain: int
    """How many actors the token may have, the current one counted."""
    rules: tuple[str, ...]
    """The deciding rules, in the order of the document."""


class Offer(NamedTuple):
    """A rule that fits, and what it gives here."""

    rule: Rule
    scope: frozenset[str]


class Weighed(NamedTuple):
    """Every step of a decision: `explain` tells it, `decide` takes the end."""

    fitting: tuple[Rule, ...]
    deciding: tuple[Offer, ...]
    decision: Decision | None
    refused: Refused | None
    reason: str
    length: int
    """How many actors the new token has or would have."""


def decide(document: TrustDocument, ask: Ask) -> Decision:
    """Decide what `ask.caller` may have; default deny.

    Raises:
        InvalidTarget: no rule of the callee for this caller, or none for this kind of subject.
        InvalidScope: the rules give nothing of what was asked for.
        InvalidRequest: the chain has somebody twice, or it would be too long (RFC 8693 §2.2.2).
    """
    weighed = weigh(document.rules(ask.callee.client_id, ask.caller), ask)
    if weighed.decision is None:
        raise error_for(weighed)(weighed.reason)
    return weighed.decision


def error_for(weighed: Weighed) -> type[InvalidTarget | InvalidScope | InvalidRequest]:
    """Return the error that a refused ask is answered with."""
    return _ERRORS[weighed.refused or "no_rule"]


def weigh(rules: Sequence[Rule], ask: Ask) -> Weighed:
    """Decide by the rules of one (callee, caller) pair and keep every step."""
    caller, callee = ask.caller, ask.callee.client_id
    length = _chain_length(ask, "actor")
    if not rules:
        return Weighed((), (), None, "no_rule", f"no rule of {callee} lets {caller} call it", length)
    fitting = tuple(rule for rule in rules if fits(rule, ask))
    if not fitting:
        return Weighed((), (), None, "kind", f"{_names(rules)}: {_unfit(ask)}", length)
    circle = cycle(ask)
    if circle is not None:
        return Weighed(fitting, (), None, "cycle", circle, length)
    offers = (Offer(rule, offered(rule, ask)) for rule in fitting)
    deciding = tuple(offer for offer in offers if offer.scope)
    if not deciding:
        return Weighed(fitting, (), None, "scope", f"{_names(fitting)}: {_nothing(ask)}", length)
    decision = _strictest(deciding, ask)
    length = _chain_length(ask, decision.act_as)
    if length > decision.max_chain:
        tight = [offer.rule for offer in deciding if offer.rule.max_chain < length]
        reason = (
            f"{_names(tight)}: expected a chain of at most {decision.max_chain} "
            f"{'actor' if decision.max_chain == 1 else 'actors'}, found {length} with the current one"
        )
        return Weighed(fitting, deciding, None, "chain", reason, length)
    reason = f"allowed by {', '.join(decision.rules)}"
    return Weighed(fitting, deciding, decision, None, reason, length)


def fits(rule: Rule, ask: Ask) -> bool:
    """Tell whether a rule speaks of this kind of subject."""
    if ask.subject_scope is None and rule.when_subject_has is not None:
        return False
    return rule.on_behalf_of in ("any", ask.kind)


def offered(rule: Rule, ask: Ask) -> frozenset[str]:
    """Return what a rule that fits gives of what was asked for."""
    if ask.subject_scope is None:
        scope = rule.scopes
    elif rule.when_subject_has is None:
        scope = rule.scopes & ask.subject_scope
    else:
        scope = rule.scopes if rule.when_subject_has <= ask.subject_scope else frozenset()
    return scope if ask.requested is None else scope & ask.requested


def _strictest(deciding: Sequence[Offer], ask: Ask) -> Decision:
    rules = [offer.rule for offer in deciding]
    scope = frozenset[str]().union(*(offer.scope for offer in deciding))
    return Decision(
        scope=scope,
        derived=frozenset() if ask.subject_scope is None else scope - ask.subject_scope,
        lifetime=min(rule.lifetime for rule in rules),
        act_as="subject" if all(rule.act_as == "subject" for rule in rules) else "actor",
        max_chain=min(rule.max_chain for rule in rules),
        rules=tuple(rule.name for rule in rules),
    )


def _chain_length(ask: Ask, act_as: Literal["actor", "subject"]) -> int:
    if ask.subject_scope is None:
        return 0
    return len(ask.actors) + (act_as == "actor")


def cycle(ask: Ask) -> str | None:
    """Return why nobody may go on with this chain of calls, whatever the rules say; `None` if they may."""
    if service_subject(ask.caller) in ask.actors:
        return f"{ask.caller} already acts in this chain: an actor never appears twice"
    if len(set(ask.actors)) != len(ask.actors):
        return "the chain of the subject token has an actor twice"
    return None


def _names(rules: Sequence[Rule]) -> str:
    return ", ".join(rule.name for rule in rules)


def _unfit(ask: Ask) -> str:
    if ask.subject_scope is None:
        return "no rule for a service in its own name (on_behalf_of service or any, without when_subject_has)"
    return f"no rule on behalf of a {ask.kind}"


def _nothing(ask: Ask) -> str:
    if ask.requested is not None and not ask.requested:
        return "an empty scope was asked for"
    asked = "what was asked for" if ask.requested is not None else "any scope"
    if ask.subject_scope is None:
        return f"the rules do not give {asked}"
    return f"the rules do not give {asked} to a subject token with this scope"

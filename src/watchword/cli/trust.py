"""`watchword trust`: check a trust document, and explain what it decides; no server is asked."""

from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from watchword.cli.failures import FAILED
from watchword.cli.output import json_option, say, say_json
from watchword.tokens.claims import ScopeText, parse_scope
from watchword.trust.document import digest, read, warnings
from watchword.trust.explain import Explanation, listed
from watchword.trust.explain import explain as explain_ask
from watchword.trust.model import Service, SubjectKind, TrustDocument, service_subject
from watchword.trust.rules import Ask
from watchword.trust.tables import did_you_mean
from watchword.trust.values import in_words
from watchword.trust.warnings import held_at_most

_document = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def trust() -> None:
    """Check a trust document, and explain who may call whom and why."""


@trust.command()
@_document
@json_option
def check(*, file: Path, as_json: bool) -> int:
    """Read FILE and its key files; every mistake is told at once, and nothing is applied."""
    document = read(file)
    found = {
        "digest": digest(document),
        "services": len(document.services),
        "rules": sum(len(service.allow) for service in document.services.values()),
        "issuers": len(document.issuers),
    }
    hints = warnings(document)
    if as_json:
        say_json({"ok": True, **found, "warnings": hints})
        return 0
    for hint in hints:
        say(f"warning: {hint}")
    counted = ", ".join(_counted(found[name], name) for name in ("services", "rules", "issuers"))
    say(f"{file.name} holds no mistake: {counted}, digest {found['digest']}")
    return 0


@trust.command()
@_document
@click.option("--caller", required=True, help="The client_id of the service that wants to call.")
@click.option("--callee", required=True, help="The client_id, audience or url of the one to be called.")
@click.option(
    "--kind",
    type=click.Choice(["person", "service"]),
    default="person",
    show_default=True,
    help="Whom the token speaks of.",
)
@click.option(
    "--scope", "scopes", multiple=True, help="A scope that is asked for; without it, all that there is."
)
@click.option(
    "--subject-scope",
    "subject_scopes",
    multiple=True,
    help="A scope that the subject token holds, '' for none. Without it a person's token is taken to hold "
    "all that a token for the caller can hold, and a service asks in its own name.",
)
@click.option(
    "--actors", multiple=True, help="A service that already acts in the subject token, the latest one first."
)
@json_option
def explain(
    *,
    file: Path,
    caller: str,
    callee: str,
    kind: SubjectKind,
    scopes: tuple[str, ...],
    subject_scopes: tuple[str, ...],
    actors: tuple[str, ...],
    as_json: bool,
) -> int:
    """Explain what FILE decides about one call: the deciding rule, and the smallest change that turns it.

    Exit code 0: allowed; 1: denied; 2: FILE has mistakes.
    """
    document = read(file)
    asking, asked = _caller(document, caller), _callee(document, callee)
    held = _scope(subject_scopes, "--subject-scope")
    assumed = held is None and kind == "person"
    if assumed:
        held = held_at_most(document, asking, kind)
    chain = tuple(name if "|" in name else service_subject(name) for text in actors for name in text.split())
    if held is None and chain:
        raise click.UsageError("--actors: a service in its own name has no chain; add --subject-scope")
    ask = Ask(caller, asked, kind, held, _scope(scopes, "--scope"), chain)
    explanation = explain_ask(document, ask)
    if as_json:
        say_json(_members(explanation))
    else:
        _tell(ask, explanation, assumed=assumed)
    return 0 if explanation.allowed else FAILED


def _counted(number: Any, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"


def _caller(document: TrustDocument, name: str) -> Service:
    return document.services.get(name) or _unknown("--caller", document, name)


def _callee(document: TrustDocument, name: str) -> Service:
    found = document.services.get(name) or document.by_audience(name) or document.by_resource(name)
    return found or _unknown("--callee", document, name)


def _unknown(option: str, document: TrustDocument, name: str) -> NoReturn:
    hint = did_you_mean(name, list(document.services))
    raise click.UsageError(f"{option}: expected a service of this document, found another name{hint}")


def _scope(texts: tuple[str, ...], option: str) -> frozenset[str] | None:
    if not texts:
        return None
    try:
        return frozenset[str]().union(*(parse_scope(msgspec.convert(text, ScopeText)) for text in texts))
    except msgspec.ValidationError:
        raise click.UsageError(
            f"{option}: expected scopes separated by single blanks (RFC 6749 §3.3)"
        ) from None


def _tell(ask: Ask, explanation: Explanation, *, assumed: bool) -> None:
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


def _members(explanation: Explanation) -> dict[str, Any]:
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

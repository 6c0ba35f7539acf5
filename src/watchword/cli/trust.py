"""`watchword trust`: check a trust document, explain what it decides, and put it in force."""

from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from watchword.authority.admin.operation import Nothing
from watchword.authority.admin.trust import ApplyTrust, PlanTrust
from watchword.cli.asking import ask, is_setting
from watchword.cli.explanation import members, tell
from watchword.cli.failures import FAILED
from watchword.cli.output import json_option, say, say_json
from watchword.cli.planned import tell_plan
from watchword.cli.times import moment
from watchword.tokens.claims import ScopeText, parse_scope
from watchword.trust.document import digest, from_json, read, to_json, warnings
from watchword.trust.explain import explain as explain_ask
from watchword.trust.model import Service, SubjectKind, TrustDocument, service_subject
from watchword.trust.rules import Ask
from watchword.trust.tables import did_you_mean
from watchword.trust.toml_form import to_toml
from watchword.trust.warnings import held_at_most

WOULD_CHANGE = 3

_document = click.argument("file", type=click.Path(path_type=Path))


@click.group()
def trust() -> None:
    """Check a trust document, explain who may call whom and why, and put it in force."""


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
@json_option
def show(*, as_json: bool) -> None:
    """Print the document in force, as a file that could be applied."""
    told = ask("trust.show", Nothing())
    if as_json:
        say_json(told)
        return
    applied = "never applied" if told["applied_at"] is None else f"applied {moment(told['applied_at'])}"
    say(f"# in force: digest {told['digest']}, {applied}")
    click.echo(to_toml(_in_force(told)), nl=False)


@trust.command()
@_document
@json_option
def plan(*, file: Path, as_json: bool) -> int:
    """Show what would change if FILE were put in force; nothing is applied.

    Exit code 0: nothing would change; 3: something would; 2: FILE has mistakes.
    """
    told = ask("trust.plan", PlanTrust(document=msgspec.Raw(to_json(read(file)))))
    if as_json:
        say_json(told)
    else:
        tell_plan(told)
        if told["changes"]:
            say(f"to apply exactly this: watchword trust apply {file} --expect {told['in_force']}")
    return WOULD_CHANGE if told["changes"] else 0


@trust.command()
@_document
@click.option(
    "--expect",
    metavar="DIGEST",
    help="Only if this is in force until now, as plan printed it.",
)
@json_option
def apply(*, file: Path, expect: str | None, as_json: bool) -> None:
    """Put FILE in force: one transaction, one audit event; the next request is decided by it."""
    request = ApplyTrust(
        document=msgspec.Raw(to_json(read(file))), expect=expect, from_file=is_setting("TRUST", file)
    )
    told = ask("trust.apply", request)
    if as_json:
        say_json(told)
        return
    tell_plan(told)
    say(f"in force now: digest {told['digest']}")


@trust.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
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
    file: Path | None,
    caller: str,
    callee: str,
    kind: SubjectKind,
    scopes: tuple[str, ...],
    subject_scopes: tuple[str, ...],
    actors: tuple[str, ...],
    as_json: bool,
) -> int:
    """Explain what is decided about one call: the deciding rule, and the smallest change that turns it.

    By FILE, or without one by the document in force. Exit code 0: allowed; 1: denied; 2: FILE has mistakes.
    """
    document = _in_force(ask("trust.show", Nothing())) if file is None else read(file)
    asking, asked = _caller(document, caller), _callee(document, callee)
    held = _scope(subject_scopes, "--subject-scope")
    assumed = held is None and kind == "person"
    if assumed:
        held = held_at_most(document, asking, kind)
    chain = tuple(name if "|" in name else service_subject(name) for text in actors for name in text.split())
    if held is None and chain:
        raise click.UsageError("--actors: a service in its own name has no chain; add --subject-scope")
    question = Ask(caller, asked, kind, held, _scope(scopes, "--scope"), chain)
    explanation = explain_ask(document, question)
    if as_json:
        say_json(members(explanation))
    else:
        tell(question, explanation, assumed=assumed)
    return 0 if explanation.allowed else FAILED


def _in_force(told: dict[str, Any]) -> TrustDocument:
    return from_json(msgspec.json.encode(told["document"]))


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

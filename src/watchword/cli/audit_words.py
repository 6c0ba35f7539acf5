"""Events and verdicts of the audit in words."""

from watchword.audit.lines import members
from watchword.audit.report import Report
from watchword.audit.verification import SealedEvent
from watchword.cli.output import say
from watchword.cli.times import moment

_FAR = 1e11
_REST = ("kid", "jti", "txn", "request_id")


def said_of(event: SealedEvent) -> str:
    """Return an event as a line for people; whoever prints it escapes it."""
    told = members(event)
    time = told["time"]
    when = moment(time) if isinstance(time, float) and abs(time) < _FAR else f"{time}"
    words = [f"{told['sequence']:>6}  {when}  {told.get('type')}"]
    if told.get("outcome") != "allowed":
        words.append("refused")
    if "client" in told:
        words.append(f"{told['client']}" + (f" -> {told['audience']}" if "audience" in told else ""))
    if "subject" in told:
        words.append(f"for {told['subject']}")
    if "actor" in told and told["actor"] != f"service|{told.get('client')}":
        words.append(f"by {told['actor']}")
    words += [f"{name} {told[name]}" for name in _REST if name in told]
    if "reason" in told:
        words.append(f"({told['reason']})")
    return "  ".join(words)


def tell(report: Report) -> None:
    """Print a verdict."""
    for finding in report.findings:
        say(f"{finding.kind}: {finding.text}")
    if report.found > len(report.findings):
        say(f"and {report.found - len(report.findings)} more")
    writers = f"{len(report.chains)} {'writer' if len(report.chains) == 1 else 'writers'}"
    what = f"{report.events} events of {writers}, up to number {report.last}"
    say(f"NOT WHOLE: {what}" if report.found else f"whole: {what}")
    if report.forgotten:
        say(f"  forgotten by the rule of retention: up to number {report.forgotten}")
    if report.unchained:
        say(f"  older than the chain, so nobody can vouch for them: {report.unchained} events")
    if report.statements:
        say(f"  held against signed statements: {report.statements}")
    else:
        say("  no signed statement was held against them: all of it could have been written anew")

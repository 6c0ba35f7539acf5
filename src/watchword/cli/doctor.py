"""`watchword doctor`: whether this machine, with these settings, can run a token service, or use one."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from watchword.app.config import ServerSettings
from watchword.cli import examine, examine_service
from watchword.cli.examine import Finding
from watchword.cli.failures import FAILED
from watchword.cli.output import json_option, say, say_json
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import ConfigurationError
from watchword.fetch import Transport
from watchword.service import ServiceSettings


@click.command()
@click.option("--service", is_flag=True, help="Look at a service that uses the SDK, not at a token service.")
@click.option(
    "--trust",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --service: a trust document, to look for the rules of its callees.",
)
@click.option(
    "--caller-token",
    is_flag=True,
    help="With --service: read a caller's access token from stdin and exchange it for each callee.",
)
@json_option
def doctor(*, service: bool, trust: Path | None, caller_token: bool, as_json: bool) -> int:
    """Look at settings, clock, folders, keys, trust and issuer; say what to do where something is wrong.

    With --service: at the settings of a service (WATCHWORD_…), its issuers and their keys, whether the token
    endpoint knows it, and what it may do at each WATCHWORD_URL_<CALLEE>.

    Changes nothing. Exit code 1 if anything would keep it from working.
    """
    if not service and (trust is not None or caller_token):
        raise click.UsageError("--trust and --caller-token go with --service")
    findings = list(
        _of_a_service(trust, sys.stdin.read().strip() if caller_token else None) if service else _findings()
    )
    ok = all(finding.status != "FAIL" for finding in findings)
    if as_json:
        say_json({"ok": ok, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            say(f"{finding.status:<5}{finding.about:<13}{finding.text}")
    return 0 if ok else FAILED


def _findings() -> Iterator[Finding]:
    yield from examine.time(SYSTEM_CLOCK)
    try:
        settings = ServerSettings.load(os.environ, folder=Path.cwd())
    except ConfigurationError as error:
        yield from examine.settings(error)
        return
    yield from examine.used(settings)
    yield from examine.data_folder(settings.data_folder)
    yield from examine.tls(settings.tls)
    yield from examine.keys(settings)
    yield from examine.trust(settings.trust)
    yield from examine.audit_log(settings.audit_log)
    yield from examine.issuer(settings, SYSTEM_CLOCK)


def _of_a_service(trust: Path | None, token: str | None) -> Iterator[Finding]:
    yield from examine.time(SYSTEM_CLOCK)
    try:
        settings = ServiceSettings.load(os.environ, folder=Path.cwd())
    except ConfigurationError as error:
        yield from examine.settings(error)
        return
    yield from examine_service.used(settings)
    transport = Transport(ca_file=settings.ca_file, insecure_http_hosts=settings.insecure_http_hosts)
    yield from examine_service.issuers(settings, transport, SYSTEM_CLOCK)
    caller = None
    if token is not None:
        finding, caller = examine_service.caller_token(token)
        yield finding
    yield from examine_service.credential(settings, transport, SYSTEM_CLOCK, caller)
    if trust is not None:
        yield from examine_service.rules(settings, trust)

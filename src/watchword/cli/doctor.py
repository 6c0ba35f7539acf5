"""`watchword doctor`: can this machine, with these settings, run a token service? Changes nothing."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from watchword.app.config import ServerSettings
from watchword.cli import examine
from watchword.cli.examine import Finding
from watchword.cli.failures import FAILED
from watchword.cli.output import json_option, say, say_json
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import ConfigurationError


@click.command()
@json_option
def doctor(*, as_json: bool) -> int:
    """Look at settings, clock, folders, keys, trust and issuer; say what to do where something is wrong.

    Changes nothing. Exit code 1 if anything would keep the token service from working.
    """
    findings = list(_findings())
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
    yield from examine.keys(settings.keys)
    yield from examine.trust(settings.trust)
    yield from examine.issuer(settings, SYSTEM_CLOCK)

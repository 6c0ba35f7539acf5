"""`watchword audit`: look at the audit, verify it, take it out. A database is only ever read here."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from watchword.audit.checkpoint import Checkpoint
from watchword.audit.event_types import EVENT_TYPES
from watchword.audit.lines import MAX_LINE, ascii_json, line_of, statement_line
from watchword.audit.report import Report, Statements, read_exported
from watchword.audit.verify_lines import verify_lines
from watchword.authority.admin.operation import Nothing
from watchword.cli.asking import ask, settings
from watchword.cli.audit_words import said_of, tell
from watchword.cli.failures import FAILED
from watchword.cli.output import json_option, say, say_json
from watchword.cli.secret_file import new_file, write_new
from watchword.storage.audit_file import AuditFile, open_audit
from watchword.storage.audit_verify import verify_database
from watchword.tokens.jwk_set import JWKSet

_LOOK_EVERY = 0.5

_database = click.option(
    "--database",
    type=click.Path(path_type=Path),
    help="A database, as a copy of one; by default that of the settings.",
)
_out = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file that takes it; mode 0600, never overwritten.",
)


@click.group()
def audit() -> None:
    """Look at the audit, verify that nobody changed it, and take it out."""


@audit.command()
@_database
@click.option(
    "-n", "--last", type=click.IntRange(0), default=20, show_default=True, help="How many to begin with."
)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C with what is written from now on.")
@click.option(
    "--type", "kinds", multiple=True, type=click.Choice(list(EVENT_TYPES)), help="Only of these types."
)
@click.option("--txn", help="Only of this story.")
@click.option("--client", help="Only of this client.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object for each event instead of words."
)
def tail(
    *,
    database: Path | None,
    last: int,
    follow: bool,
    kinds: tuple[str, ...],
    txn: str | None,
    client: str | None,
    as_json: bool,
) -> None:
    """Tell the last events, one line each."""
    where: dict[str, tuple[str, ...]] = {
        name: (value,) for name, value in (("txn", txn), ("client", client)) if value is not None
    }
    if kinds:
        where["type"] = kinds
    with _opened(database) as audit_file:
        number = audit_file.number_before_last(last, where=where)
        pause = threading.Event()
        try:
            while True:
                for event in audit_file.events(after=number, where=where):
                    number = int(str(event.values[0]))
                    click.echo(line_of(event).decode(), nl=False) if as_json else say(said_of(event))
                if not follow:
                    return
                pause.wait(_LOOK_EVERY)
        except KeyboardInterrupt:
            return


@audit.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_database
@click.option(
    "--checkpoint",
    "kept",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with checkpoints that were kept elsewhere.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The public keys that `audit key` wrote; by default those of this installation.",
)
@click.option("--after", type=click.IntRange(0), default=0, help="FILES begin behind this number.")
@json_option
def verify(
    *,
    files: tuple[Path, ...],
    database: Path | None,
    kept: tuple[Path, ...],
    key: Path | None,
    after: int,
    as_json: bool,
) -> int:
    """Verify every event and every checkpoint of the database, or of FILES.

    FILES are as `audit export` and AUDIT_LOG write them, the oldest first. Exit code 1 if anything was
    changed, deleted, put in or cut off.
    """
    keys = JWKSet.from_json(key.read_bytes()) if key else JWKSet.from_dict(ask("audit.keys", Nothing()))
    exported: list[Checkpoint] = []
    for path in kept:
        exported += read_exported(path.read_text("ascii", "replace"), keys)
    statements = Statements(keys, exported=exported)
    if files:
        report = verify_lines(_lines(files), statements, after=after)
    else:
        with _opened(database) as audit_file:
            report = verify_database(audit_file, statements)
    return _verdict(report, as_json=as_json)


@audit.command()
@_database
@_out
@click.option("--after", type=click.IntRange(0), default=0, help="Only events above this number.")
def export(*, database: Path | None, out: Path | None, after: int) -> None:
    """Write events and checkpoints as JSON lines, to a new file or to stdout."""
    with _opened(database) as audit_file, audit_file.snapshot():
        if out is None:
            for line in _exported(audit_file, after):
                sys.stdout.buffer.write(line)
            return
        with new_file(out) as file:
            for line in _exported(audit_file, after):
                file.write(line)


@audit.command()
@_out
@json_option
def checkpoint(*, out: Path | None, as_json: bool) -> None:
    """Sign where the chains are now. Keep it where nobody who can write to the database can change it."""
    told = ask("audit.checkpoint", Nothing())
    if out is not None:
        write_new(out, f"{told['statement']}\n".encode())
    if as_json:
        say_json(told)
    elif out is None:
        say(told["statement"])
    else:
        say(f"the checkpoint is in {out}: keep it elsewhere, and verify with --checkpoint {out.name}")


@audit.command("key")
@_out
def show_key(*, out: Path | None) -> None:
    """Tell the public keys by which anybody verifies checkpoints, as a JWK Set."""
    told = ask("audit.keys", Nothing())
    if out is None:
        say_json(told)
        return
    write_new(out, f"{ascii_json(told)}\n".encode())
    say(f"the public keys of the audit are in {out}")


def _verdict(report: Report, *, as_json: bool) -> int:
    if as_json:
        say_json(
            {
                "ok": report.whole,
                **report._asdict(),
                "findings": [finding._asdict() for finding in report.findings],
            }
        )
    else:
        tell(report)
    return 0 if report.whole else FAILED


@contextmanager
def _opened(database: Path | None) -> Iterator[AuditFile]:
    with open_audit(settings().database if database is None else database) as audit_file:
        yield audit_file


def _exported(audit_file: AuditFile, after: int) -> Iterator[bytes]:
    anchor = audit_file.anchor()
    if anchor is not None and not after:
        yield statement_line(anchor=str(anchor.statement))
    for checkpoint in audit_file.checkpoints():
        if checkpoint.sequence > after:
            yield statement_line(checkpoint=str(checkpoint.statement))
    for event in audit_file.events(after=after):
        yield line_of(event)


def _lines(files: tuple[Path, ...]) -> Iterator[tuple[str, bytes]]:
    for path in files:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE):
                number += 1
                yield f"{path.name}:{number}", line

"""Turns what went wrong into clear lines and an exit code; a trace only under `WATCHWORD_DEBUG=1`."""

import os
import sys
import traceback

import click

from watchword.cli.output import say_json
from watchword.errors import (
    ConfigurationError,
    OperationInvalid,
    OperationRefused,
    TrustError,
    WatchwordError,
)
from watchword.server.logs import escaped

FAILED = 1
USAGE = 2
_INTERRUPTED = 130
_REPORT = "https://github.com/watchword/watchword/issues"
_LONGEST_LINE = 2_000


def tell(error: Exception, *, as_json: bool = False) -> int:
    """Write an error to stderr, one line per mistake, and return the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    if isinstance(error, click.Abort):
        _write(["interrupted"])
        return _INTERRUPTED
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # so that closing it later cannot fail too
        return FAILED
    code, lines, status = _judge(error)
    _write(lines)
    if os.environ.get("WATCHWORD_DEBUG") == "1" and not isinstance(error, click.ClickException):
        traceback.print_exception(error)
    if as_json:
        say_json({"ok": False, "code": code, "problems": lines})
    return status


def _judge(error: Exception) -> tuple[str, list[str], int]:
    if isinstance(error, click.ClickException):
        where = (
            f" (try: {error.ctx.command_path} --help)"
            if isinstance(error, click.UsageError) and error.ctx
            else ""
        )
        return "usage" if where else "failed", [error.format_message() + where], error.exit_code
    if isinstance(error, OperationRefused):
        return error.refusal, list(error.problems), USAGE if error.usage else FAILED
    if isinstance(error, OperationInvalid):
        return error.code, [str(error)], USAGE
    if isinstance(error, ConfigurationError | TrustError):
        return error.code, list(error.problems), USAGE
    if isinstance(error, WatchwordError):
        return error.code, [str(error)], FAILED
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return "os_error", [f"{place}{error.strerror.lower()}"], FAILED
    line = (
        f"unexpected {type(error).__name__}; please report it at {_REPORT} with what WATCHWORD_DEBUG=1 prints"
    )
    return "unexpected", [line], FAILED


def _write(lines: list[str]) -> None:
    for line in lines:
        sys.stderr.write(f"watchword: {escaped(line, _LONGEST_LINE)}\n")

"""What commands print: words for people, one JSON object for programs."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from watchword.audit.lines import ascii_json
from watchword.server.logs import escaped

F = TypeVar("F", bound=Callable[..., Any])

_LONGEST = 2_000


def json_option(command: F) -> F:
    """Give a command `--json`, as its argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of words.")(
        command
    )


def say(text: str = "") -> None:
    """Print one line for people; nothing in it can move a cursor or change a colour."""
    click.echo(escaped(text, _LONGEST))


def say_json(value: Any) -> None:
    """Print one JSON object on one line, in ASCII."""
    click.echo(ascii_json(value))

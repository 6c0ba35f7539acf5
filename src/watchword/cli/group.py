"""The group of all commands. A command's file is read when it is asked for."""

import importlib
from collections.abc import Mapping
from types import MappingProxyType

import click

from watchword.cli import failures

_ROOM = "watchword.cli"

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "audit": "look at the audit, verify it, take it out",
        "clients": "keys and secrets by which services prove who they are",
        "demo": "three processes on this machine that show everything once",
        "doctor": "look whether this machine and these settings can run a token service, or use one",
        "keys": "look at the signing keys, and change them by hand",
        "serve": "run the token service",
        "token": "look into a token, or verify it",
        "trust": "check and explain a trust document",
    }
)
"""Each stands in the file of its name, as a command of its name."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"{_ROOM}.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="watchword", message="%(prog)s %(version)s")
def group() -> None:
    """Let one service act for a user at another, and see who did what.

    Every command has --json. Exit codes: 0 fine, 1 the answer is no, 2 usage or configuration.
    """


def run(arguments: list[str]) -> int:
    """Run one command; whatever goes wrong becomes lines that a person can act upon."""
    try:
        result = group.main(arguments, prog_name="watchword", standalone_mode=False)
    except Exception as error:  # noqa: BLE001  # the last place that can turn a trace into words
        return failures.tell(error, as_json="--json" in arguments)
    return result if isinstance(result, int) else 0

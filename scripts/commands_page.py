"""Prints docs/reference/commands.md from the commands themselves.

.venv/bin/python scripts/commands_page.py > docs/reference/commands.md
"""

import sys
from collections.abc import Iterator

import click

from watchword.cli.group import group

HEAD = """# Commands

Every command of `watchword`, as its own `--help` says it: this page is made by `scripts/commands_page.py`,
and a test compares the two.

Settings come from `WATCHWORD_…` in the environment and from `watchword.toml` in the current folder
([all of them](settings.md)). What looks at keys, trust or clients, or changes them, finds the running server
by the same settings and asks it over its Unix socket; while no server runs it takes the data folder for
itself and does the same. With `--json` the answer is one object on one line; what went wrong is
`{"ok": false, "code": …, "problems": […]}` with a code of [the list](errors.md). Secrets never stand on the
command line and are never printed: they go into new files of mode 0600.

| exit code | what it says |
| --- | --- |
| 0 | done, or the answer is yes |
| 1 | refused, or the answer is no |
| 2 | the command line, the settings or a file are at fault; nothing was tried |
| 3 | `trust plan`: something would change |
| 130 | interrupted |
"""


def walk(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below this one with its whole name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None and not found.hidden:
            yield from walk(found, f"{path} {name}")


def section(path: str, command: click.Command) -> Iterator[str]:
    """Yield the lines of one command."""
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    names = [_argument(argument) for argument in arguments]
    yield f"## {path}"
    yield ""
    yield f"`{' '.join([path, *(['[OPTIONS]'] if options else []), *names])}`"
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        yield " ".join(paragraph.split())
        yield ""
    if options:
        yield "| option | default | what it does |"
        yield "| --- | --- | --- |"
        for option in options:
            yield f"| {_name(option)} | {_default(option)} | {option.help or ''} |".replace("  |", " |")
        yield ""


def _argument(argument: click.Argument) -> str:
    name = (argument.metavar or str(argument.name)).upper()
    return name if argument.required else f"[{name}]"


def _name(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice) and len(option.type.choices) <= 8:
        return f"{names} {' or '.join(f'`{choice}`' for choice in option.type.choices)}"
    return f"{names} `{option.metavar or option.type.name.upper()}`{' …' if option.multiple else ''}"


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    if option.is_flag or option.multiple or not isinstance(option.default, str | int | float):
        return ""
    return f"`{option.default}`"


def page() -> str:
    """Return the whole page."""
    lines = [HEAD]
    for path, command in walk(group, "watchword"):
        lines.extend(section(path, command))
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())

"""`watchword keys`: look at the signing keys, and change them by hand."""

from typing import Any

import click

from watchword.authority.admin.keys import PrepareKey
from watchword.authority.admin.operation import Nothing
from watchword.cli.asking import ask
from watchword.cli.output import json_option, say, say_json
from watchword.cli.times import lasting, moment


@click.group()
def keys() -> None:
    """Look at the signing keys, and change them by hand; by themselves they change as the settings say."""


@keys.command()
@json_option
def show(*, as_json: bool) -> None:
    """Tell of every key where it is in its life, how many tokens need it, and what happens next."""
    told = ask("keys.show", Nothing())
    if as_json:
        say_json(told)
        return
    for warning in told["warnings"]:
        say(f"warning: {warning}")
    for key in told["keys"]:
        say(f"{key['state']:<9} {key['kid']}  {key['algorithm']}  since {moment(key['since'])}")
        say(f"          {_needed(key)}")
    following = told["next"]
    what = f"{following['step']} {following['kid'] or 'a new key'}"
    say(f"next: {what}, {moment(following['at'])}")


@keys.command()
@click.option("--algorithm", help="Of the new key; by default that of the settings.")
@json_option
def prepare(*, algorithm: str | None, as_json: bool) -> None:
    """Publish a new key that does not sign yet."""
    told = ask("keys.prepare", PrepareKey(algorithm=algorithm))
    if as_json:
        say_json(told)
        return
    say(f"{told['kid']} ({told['algorithm']}) is published; it may sign from {moment(told['ready_at'])}")


def _needed(key: dict[str, Any]) -> str:
    age = f"for {lasting(key['age'])}"
    live = key["live_tokens"]
    tokens = f"{live} live {'token' if live == 1 else 'tokens'}"
    if live:
        tokens += f" until {moment(key['live_until'])}"
    kept = f"; removed {moment(key['needed_until'])}" if key["needed_until"] else ""
    return f"{age}; {tokens}{kept}"

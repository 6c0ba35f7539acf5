"""`watchword keys`: look at the signing keys, and change them by hand."""

from typing import Any

import click

from watchword.authority.admin.keys import NamedKey, RetireKey, RevokeKey
from watchword.authority.admin.operation import Nothing
from watchword.cli.asking import ask
from watchword.cli.key_argument import OfOneKey, confirm_option, kid_argument
from watchword.cli.key_files import bring_in, export, new_seal, remove, reseal
from watchword.cli.output import json_option, say, say_json
from watchword.cli.times import lasting, moment
from watchword.keys.by_hand import Unready


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
@json_option
def prepare(*, as_json: bool) -> None:
    """Publish a new key that does not sign yet; its algorithm is that of the settings."""
    told = ask("keys.prepare", Nothing())
    if as_json:
        say_json(told)
        return
    say(f"{told['kid']} ({told['algorithm']}) is published; it may sign from {moment(told['ready_at'])}")


@keys.command(cls=OfOneKey)
@kid_argument
@json_option
def activate(*, kid: str, as_json: bool) -> None:
    """Let a prepared key sign now; the one that signed goes on verifying.

    A key that is not published long enough is refused: some verifiers would not know it yet.
    """
    _tell(ask("keys.activate", NamedKey(kid=kid)), as_json=as_json)


@keys.command(cls=OfOneKey)
@kid_argument
@confirm_option
@json_option
def retire(*, kid: str, confirm: str | None, as_json: bool) -> None:
    """Let a key sign no more: the one in reserve takes over, and the tokens of this one stay good.

    A key that is only prepared is thrown away. For a key that leaked see revoke.
    """
    _tell(ask("keys.retire", RetireKey(kid=kid, confirm=confirm)), as_json=as_json)


@keys.command(cls=OfOneKey)
@kid_argument
@confirm_option
@click.option(
    "--stop-issuing",
    is_flag=True,
    help="If no other key is published long enough: issue no token until one is.",
)
@click.option(
    "--activate-unpublished",
    is_flag=True,
    help="If no other key is published long enough: sign with one that verifiers may not have yet.",
)
@json_option
def revoke(
    *, kid: str, confirm: str | None, stop_issuing: bool, activate_unpublished: bool, as_json: bool
) -> None:
    """Stop trusting a key now: it leaked. Its tokens are refused here at once, whoever holds them.

    If it signs, the one in reserve takes over. Where none is published long enough nothing is changed, and
    you say which: --stop-issuing or --activate-unpublished.
    """
    if stop_issuing and activate_unpublished:
        raise click.UsageError("--stop-issuing, --activate-unpublished: expected one of them, found both")
    unready = Unready.REFUSE
    if stop_issuing:
        unready = Unready.STOP_ISSUING
    elif activate_unpublished:
        unready = Unready.ACTIVATE_UNPUBLISHED
    told = ask("keys.revoke", RevokeKey(kid=kid, confirm=confirm, unready=unready))
    if as_json:
        say_json(told)
        return
    live = told["live_tokens"]
    lost = f"{live} live {'token' if live == 1 else 'tokens'}"
    say(f"{told['kid']} is revoked: it is out of the JWK Set, and its {lost} are refused here from now on")
    _say_who_signs(told)
    bound = lasting(told["cached_for"])
    if told["unpublished"]:
        say(f"  verifiers that do not look for a key they lack refuse its tokens for up to {bound}")
    say(f"verifiers that cache the key set may accept tokens of the revoked key for up to {bound}")
    say("  (KEY_CACHED_FOR): restart those that cannot wait, they fetch the key set anew")


for command in (export, bring_in, remove, reseal, new_seal):
    keys.add_command(command)


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        say_json(told)
        return
    say(f"{told['kid']} is {told['state'] or 'gone'}")
    _say_who_signs(told)


def _say_who_signs(told: dict[str, Any]) -> None:
    if told["signs"] is not None:
        say(f"{told['signs']} signs now")
    elif told["issuing_from"] is not None:
        say(f"no key signs: no token is issued until {moment(told['issuing_from'])}, when the next one may")
    else:
        say("no key signs, and none is prepared: no token is issued until watchword keys prepare")


def _needed(key: dict[str, Any]) -> str:
    age = f"for {lasting(key['age'])}"
    live = key["live_tokens"]
    tokens = f"{live} live {'token' if live == 1 else 'tokens'}"
    if live:
        tokens += f" until {moment(key['live_until'])}"
    kept = f"; removed {moment(key['needed_until'])}" if key["needed_until"] else ""
    return f"{age}; {tokens}{kept}"

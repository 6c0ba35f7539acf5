"""`watchword token`: look into a token, or verify it; it comes on stdin or from a file, never on argv."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from watchword.cli.failures import FAILED
from watchword.cli.output import json_option, say, say_json
from watchword.cli.token_words import in_words
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import ConfigurationError, TokenError, TokenMalformed
from watchword.fetch import Transport
from watchword.resource.jwks import JWKSClient
from watchword.resource.metadata import IssuerMetadata
from watchword.resource.verifier import AcceptedIssuer, TokenVerifier
from watchword.tokens import base64url, strict_json
from watchword.tokens.algorithms import PUBLIC_KEY_ALGORITHMS
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import MAX_TOKEN_LENGTH, split
from watchword.tokens.policy import ACCESS_TOKEN_TYPE, VerificationPolicy
from watchword.tokens.verified import VerifiedToken

_LONGEST_INPUT = 4 * MAX_TOKEN_LENGTH
_FOREIGN_ALGORITHMS = sorted(PUBLIC_KEY_ALGORITHMS)

_on_argv = click.argument("on_argv", nargs=-1, type=click.UNPROCESSED, metavar="")
_file = click.option(
    "--file",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="Read the token from this file instead of stdin.",
)


@click.group()
def token() -> None:
    """Look into a token, or verify it; the token comes on stdin or from a file."""


@token.command()
@_on_argv
@_file
@json_option
def inspect(*, on_argv: tuple[str, ...], file: Path | None, as_json: bool) -> int:
    """Show what a token says, WITHOUT verifying it: anybody may have written it."""
    text = _read(on_argv, file)
    try:
        parts = split(text)
        header = strict_json.decode_object(base64url.decode(parts.header))
        claims = strict_json.decode_object(base64url.decode(parts.payload))
    except TokenError as error:
        return _refused(error, as_json=as_json)
    if as_json:
        say_json({"ok": True, "verified": False, "header": header, "claims": claims})
        return 0
    say("NOT VERIFIED: this is what the token says; anybody may have written it")
    _show(header, claims)
    return 0


@token.command()
@_on_argv
@_file
@click.option("--issuer", required=True, help="The exact iss.")
@click.option("--audience", required=True, help="For whom the token must be meant.")
@click.option(
    "--jwks-file", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="The issuer's keys."
)
@click.option("--jwks-uri", help="Where the keys are published; else the issuer's metadata says it.")
@click.option(
    "--ca-file", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="PEM certificates."
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    type=click.Choice(_FOREIGN_ALGORITHMS),
    default=_FOREIGN_ALGORITHMS,
)
@click.option(
    "--type", "types", multiple=True, default=[ACCESS_TOKEN_TYPE], show_default=True, help="Accepted typ."
)
@json_option
def verify(
    *,
    on_argv: tuple[str, ...],
    file: Path | None,
    issuer: str,
    audience: str,
    jwks_file: Path | None,
    jwks_uri: str | None,
    ca_file: Path | None,
    algorithms: tuple[str, ...],
    types: tuple[str, ...],
    as_json: bool,
) -> int:
    """Verify an access token as a service would, and say which check refused it."""
    if jwks_file is not None and jwks_uri is not None:
        raise click.UsageError("expected --jwks-file or --jwks-uri, found both")
    text = _read(on_argv, file)
    keys: JWKSet | JWKSClient
    if jwks_file is not None:
        keys = JWKSet.from_json(jwks_file.read_bytes())
    else:
        keys = JWKSClient(IssuerMetadata(issuer, jwks_uri=jwks_uri), Transport(ca_file=ca_file))
    policy = VerificationPolicy(issuer, audience, algorithms, token_types=types)
    verifier = TokenVerifier([AcceptedIssuer(policy, keys)])
    try:
        verified = verifier.verify(text)
    except TokenError as error:
        return _refused(error, as_json=as_json)
    finally:
        verifier.close()
    _accepted(verified, text, as_json=as_json)
    return 0


def _accepted(verified: VerifiedToken, text: str, *, as_json: bool) -> None:
    header = strict_json.decode_object(base64url.decode(split(text).header))
    if as_json:
        say_json({"ok": True, "verified": True, "header": header, "claims": dict(verified.claims)})
        return
    say("verified: signature, issuer, audience, type and times hold")
    _show(header, verified.claims)


def _refused(error: TokenError, *, as_json: bool) -> int:
    if as_json:
        say_json({"ok": False, "verified": False, "code": error.code, "reason": str(error)})
    else:
        say(f"refused: {error.code}: {error}")
    return FAILED


def _show(header: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
    for label, words in in_words(header, claims, SYSTEM_CLOCK.now()).items():
        say(f"  {label:<11}{words}")


def _read(on_argv: tuple[str, ...], file: Path | None) -> str:
    """Return the token, without blanks around it and without the word Bearer before it."""
    if on_argv:
        raise ConfigurationError(
            "expected the token on stdin or with --file, found an argument: those stay in the shell's "
            "history and in the list of processes; treat this token as known to others"
        )
    if file is None:
        if sys.stdin.isatty():
            click.echo("paste the token, then press Enter and Ctrl-D:", err=True)
        raw = sys.stdin.buffer.read(_LONGEST_INPUT)
    else:
        with file.open("rb") as opened:
            raw = opened.read(_LONGEST_INPUT)
    text = raw.decode("utf-8", "replace").strip()
    text = text[7:].lstrip() if text[:7].lower() == "bearer " else text
    if not text:
        raise TokenMalformed("expected a token, found nothing")
    return text

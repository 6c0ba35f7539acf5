"""Clients beside the document: registered, given other credentials, disabled."""

import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from watchword.authority.admin.client_view import ShowClients
from watchword.authority.admin.clients import (
    MAX_OVERLAP,
    AddClient,
    ConfirmedClient,
    NamedClient,
    RotateSecret,
    SetKeys,
)
from watchword.cli.asking import ask, begin
from watchword.cli.output import json_option, say, say_json
from watchword.cli.secret_file import write_new
from watchword.cli.times import lasting, moment, span
from watchword.errors import ConfigurationError, OperatorUnreachable
from watchword.tokens.private_key import DEFAULT_ALGORITHM, PrivateKey

T = TypeVar("T")

_client_id = click.argument("client_id")
_confirm = click.option("--confirm", metavar="CLIENT_ID", help="The same CLIENT_ID once more.")
_old_until = click.option(
    "--old-until",
    callback=span(MAX_OVERLAP),
    default="24h",
    show_default=True,
    metavar="TIME",
    help="How long what it had before stays valid, as in 90s, 30m, 24h, 7d; 0 ends it now.",
)
_secret_out = click.option(
    "--secret-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make a secret; the new file that takes it, mode 0600, never overwritten.",
)
_key_out = click.option(
    "--key-out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make a key; the new file that takes its private half, mode 0600, never overwritten.",
)
_jwks = click.option(
    "--jwks",
    type=click.Path(dir_okay=False, exists=True, path_type=Path),
    help="A file with a JWK Set: the public keys that it has.",
)


@click.command()
@_client_id
@_secret_out
@_key_out
@_jwks
@json_option
def add(
    *, client_id: str, secret_out: Path | None, key_out: Path | None, jwks: Path | None, as_json: bool
) -> None:
    """Register how a service proves who it is; its table in the trust document has no line for it.

    A secret or a private key goes into a new file and nowhere else: the server is told a digest or the
    public half.
    """
    if sum(given is not None for given in (secret_out, key_out, jwks)) != 1:
        raise click.UsageError("expected exactly one of --secret-out, --key-out and --jwks")
    if secret_out is not None:
        told = _with_secret(
            secret_out,
            lambda digest: ask("clients.add", AddClient(client_id=client_id, secret_sha256=digest)),
        )
    else:
        told = _with_keys(
            key_out, jwks, lambda keys: ask("clients.add", AddClient(client_id=client_id, jwks=keys))
        )
    _tell(told, f"{client_id} is registered", as_json=as_json, file=secret_out or key_out)


@click.command("rotate-secret")
@_client_id
@click.option(
    "--secret-out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file that takes the new secret; mode 0600, never overwritten.",
)
@_old_until
@json_option
def rotate_secret(*, client_id: str, secret_out: Path, old_until: float, as_json: bool) -> None:
    """Give a service a new secret; the old one stays valid for a while, and ends by itself.

    At most two secrets are valid at once.
    """
    told = _with_secret(
        secret_out,
        lambda digest: ask(
            "clients.rotate-secret",
            RotateSecret(client_id=client_id, secret_sha256=digest, old_for=old_until),
        ),
    )
    _tell(told, f"{client_id} has a new secret", as_json=as_json, file=secret_out)


@click.command("set-keys")
@_client_id
@_key_out
@_jwks
@_old_until
@json_option
def set_keys(
    *, client_id: str, key_out: Path | None, jwks: Path | None, old_until: float, as_json: bool
) -> None:
    """Give a service other keys: all that it has from now on; those it had stay valid for a while."""
    if (key_out is None) == (jwks is None):
        raise click.UsageError("expected exactly one of --key-out and --jwks")
    told = _with_keys(
        key_out,
        jwks,
        lambda keys: ask("clients.set-keys", SetKeys(client_id=client_id, jwks=keys, old_for=old_until)),
    )
    _tell(told, f"{client_id} has other keys", as_json=as_json, file=key_out)


@click.command()
@_client_id
@_confirm
@json_option
def disable(*, client_id: str, confirm: str | None, as_json: bool) -> None:
    """Refuse a service from now on, whatever it presents, and each token that names it as client or actor."""
    told = ask("clients.disable", ConfirmedClient(client_id=client_id, confirm=confirm))
    _tell(told, f"{client_id} is disabled: it gets no token and no answer", as_json=as_json)


@click.command()
@_client_id
@json_option
def enable(*, client_id: str, as_json: bool) -> None:
    """Let a disabled service in again, with the credentials that it had."""
    _tell(ask("clients.enable", NamedClient(client_id=client_id)), f"{client_id} is enabled", as_json=as_json)


@click.command()
@_client_id
@_confirm
@json_option
def remove(*, client_id: str, confirm: str | None, as_json: bool) -> None:
    """Forget the registered credentials of a service, so that the trust document may have them."""
    told = ask("clients.remove", ConfirmedClient(client_id=client_id, confirm=confirm))
    _tell(told, f"{client_id} has no registered credentials any more", as_json=as_json)


@click.command()
@click.argument("client_id", required=False)
@json_option
def show(*, client_id: str | None, as_json: bool) -> None:
    """Tell of every service, or of one, how it proves who it is, and whether it may."""
    told = ask("clients.show", ShowClients(client_id=client_id))
    if as_json:
        say_json(told)
        return
    for client in told["clients"]:
        state = (
            f"disabled since {moment(client['disabled_since'])}" if client["disabled_since"] else "enabled"
        )
        method = client["method"] or "cannot authenticate yet"
        source = f", {client['source']}" if client["source"] else ""
        say(f"{client['client_id']}: {method}{source}; {state}")
        for credential in client["credentials"]:
            end = credential["ends"]
            until = "" if end is None else f", {'until' if credential['valid'] else 'ended'} {moment(end)}"
            say(f"  {credential['id']}  since {moment(credential['since'])}{until}")


def _with_secret(out: Path, register: Callable[[str], T]) -> T:
    """Make a secret, keep it in a file, register its digest; no file stays of one that was refused."""
    begin()
    secret = secrets.token_urlsafe(32)
    write_new(out, secret.encode("ascii"))
    return _registered(out, lambda: register(hashlib.sha256(secret.encode("ascii")).hexdigest()))


def _with_keys(out: Path | None, file: Path | None, register: Callable[[dict[str, Any]], T]) -> T:
    if file is not None:
        return register(_read(file))
    if out is None:
        raise ConfigurationError("expected a file for the private key, found none")
    begin()
    key = PrivateKey.generate(DEFAULT_ALGORITHM)
    write_new(out, key.insecure_private_pem())
    return _registered(out, lambda: register({"keys": [dict(key.public_jwk())]}))


def _registered(out: Path, register: Callable[[], T]) -> T:
    try:
        return register()
    except OperatorUnreachable:
        raise  # perhaps it was done: then this file has the only copy
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _read(file: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, json.JSONDecodeError):
        raise ConfigurationError(f"{file}: expected a JWK Set (RFC 7517 §5), found something else") from None


def _tell(told: dict[str, Any], deed: str, *, as_json: bool, file: Path | None = None) -> None:
    if as_json:
        say_json(told if file is None else told | {"file": str(file)})
        return
    say(deed)
    if file is not None:
        say(f"  what is secret of it is in {file}, and nowhere else")
    if told["old_until"] is not None:
        say(f"  what it had before is valid until {moment(told['old_until'])}")
    if told["tokens_end_within"] is not None:
        say(
            "  services that verify by themselves accept tokens that it has for up to"
            f" {lasting(told['tokens_end_within'])}"
        )

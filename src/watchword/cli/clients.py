"""`watchword clients`: keys and secrets by which services prove who they are."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from watchword.cli import registered
from watchword.cli.output import json_option, say, say_json
from watchword.cli.secret_file import write_new
from watchword.errors import ConfigurationError
from watchword.tokens.private_key import DEFAULT_ALGORITHM, PrivateKey

# those that a PEM file alone tells apart: a service reads its key without being told the algorithm
_ALGORITHMS = ("ES256", "ES384", "EdDSA", "RS256")
_CLIENT_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,127})")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_client_id = click.option("--client-id", required=True, help="The name of the service in the trust document.")
_out = click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The new file that takes the secret part; mode 0600, never overwritten.",
)


@click.group()
def clients() -> None:
    """Make keys and secrets by which services prove who they are, register them, disable a service."""


for _command in (
    registered.add,
    registered.disable,
    registered.enable,
    registered.remove,
    registered.rotate_secret,
    registered.set_keys,
    registered.show,
):
    clients.add_command(_command)


@clients.command("new-key")
@_client_id
@_out
@click.option("--algorithm", type=click.Choice(_ALGORITHMS), default=DEFAULT_ALGORITHM, show_default=True)
@json_option
def new_key(*, client_id: str, out: Path, algorithm: str, as_json: bool) -> None:
    """Make a key for private_key_jwt; print what the trust document needs to know of it."""
    _demand_name(client_id)
    key = PrivateKey.generate(algorithm)
    write_new(out, key.insecure_private_pem())
    jwk = dict(key.public_jwk())
    _tell(
        client_id,
        f"jwks = {{ keys = [{_inline(jwk)}] }}",
        f"its private key is in {out}: name the file in WATCHWORD_CLIENT_KEY_FILE of {client_id}",
        {"client_id": client_id, "file": str(out), "kid": key.kid, "jwks": {"keys": [jwk]}},
        as_json=as_json,
    )


@clients.command("new-secret")
@_client_id
@_out
@json_option
def new_secret(*, client_id: str, out: Path, as_json: bool) -> None:
    """Make a secret of 256 random bits for client_secret_basic; print its hash for the trust document."""
    _demand_name(client_id)
    secret = secrets.token_urlsafe(32)
    write_new(out, secret.encode("ascii"))
    digest = hashlib.sha256(secret.encode("ascii")).hexdigest()
    _tell(
        client_id,
        f'secret_sha256 = ["{digest}"]',
        f"its secret is in {out}: name the file in WATCHWORD_CLIENT_SECRET_FILE of {client_id}",
        {"client_id": client_id, "file": str(out), "secret_sha256": [digest]},
        as_json=as_json,
    )


def _demand_name(client_id: str) -> None:
    if not _CLIENT_ID.fullmatch(client_id):
        raise ConfigurationError("--client-id: expected letters, digits, '.', '_' and '-', at most 128")


def _tell(client_id: str, line: str, note: str, members: Mapping[str, Any], *, as_json: bool) -> None:
    table = client_id if _BARE_KEY.fullmatch(client_id) else f'"{client_id}"'
    if as_json:
        say_json({**members, "trust": f"[services.{table}]\n{line}\n"})
        return
    say(f"# in trust.toml, below [services.{table}]")
    say(line)
    click.echo(f"watchword: {note}", err=True)


def _inline(members: Mapping[str, str]) -> str:
    """Return an inline table of TOML; names and values of a JWK need no escapes."""
    return "{ " + ", ".join(f'{name} = "{value}"' for name, value in members.items()) + " }"

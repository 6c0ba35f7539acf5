"""`watchword keys export | import | reseal | remove | new-seal`: keys on their way, and their seal."""

import base64
from pathlib import Path

import click

from watchword.authority.admin.key_files import CarriedKey, ExportKeys, ImportKeys, RemoveKey
from watchword.authority.admin.operation import Nothing
from watchword.cli.asking import ask
from watchword.cli.key_argument import OfOneKey, confirm_option, kid_argument
from watchword.cli.output import json_option, say, say_json
from watchword.cli.secret_file import write_new
from watchword.cli.times import moment
from watchword.errors import ConfigurationError
from watchword.keys.key_material import demand_no_sample, read_private_key
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keys.travelling import import_keys, is_export
from watchword.tokens.private_key import PrivateKey

_LONGEST = 1 << 20
_new_file = click.Path(dir_okay=False, path_type=Path)
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("export")
@click.option("--out", required=True, type=_new_file, help="The new file with the sealed keys.")
@click.option("--key-out", required=True, type=_new_file, help="The new file with its key; mode 0600.")
@click.option("--kid", "kids", multiple=True, metavar="KID", help="Only this key; may be given again.")
@json_option
def export(*, out: Path, key_out: Path, kids: tuple[str, ...], as_json: bool) -> None:
    """Write private keys into a sealed file that may travel, and the key of that file beside it.

    The sealed file opens for whoever has its key: keep the two apart.
    """
    for path in (out, key_out):
        if path.exists():
            raise ConfigurationError(f"{path}: expected a new file, found one; nothing is ever overwritten")
    told = ask("keys.export", ExportKeys(kids=kids))
    write_new(key_out, told["key"].encode("ascii") + b"\n")
    write_new(out, told["file"].encode("ascii"))
    if as_json:
        say_json({"kids": told["kids"], "file": str(out), "key_file": str(key_out)})
        return
    say(f"{len(told['kids'])} keys are in {out}, sealed; its key is in {key_out}: keep the two apart")


@click.command("import")
@click.argument("path", metavar="FILE", type=_file)
@click.option("--key", "key_file", type=_file, help="The file with the key, for a file of keys export.")
@click.option(
    "--algorithm", help="What a PEM key signs under, where RS256, ES256, ES384 or EdDSA is not meant."
)
@click.option("--kid", help="The name of a PEM key; its RFC 7638 thumbprint by default.")
@json_option
def bring_in(
    *, path: Path, key_file: Path | None, algorithm: str | None, kid: str | None, as_json: bool
) -> None:
    """Publish keys from elsewhere: a file of keys export, a private key in PEM, or a private JWK.

    They are prepared: they do not sign before every verifier had the time to fetch them.
    """
    told = ask(
        "keys.import", ImportKeys(keys=[_carried(key) for key in _read(path, key_file, algorithm, kid)])
    )
    if as_json:
        say_json(told)
        return
    for imported in told["kids"]:
        say(f"{imported} is published; it may sign from {moment(told['ready_at'])}")
    if key_file is None:
        click.echo(f"watchword: {path} still holds the key in clear: remove it", err=True)


@click.command()
@json_option
def reseal(*, as_json: bool) -> None:
    """Seal every key anew under the first sealing key of SEAL, so that the others can be taken out of it."""
    told = ask("keys.reseal", Nothing())
    if as_json:
        say_json(told)
        return
    name = told["sealing_key"]
    say("nothing is sealed: keys live in memory" if name is None else f"every key is sealed under {name} now")


@click.command(cls=OfOneKey)
@kid_argument
@confirm_option
@json_option
def remove(*, kid: str, confirm: str | None, as_json: bool) -> None:
    """Forget a retired or revoked key, or one whose record cannot be opened; its tokens are refused.

    The planner removes retired keys by itself, when no token needs them any more.
    """
    told = ask("keys.remove", RemoveKey(kid=kid, confirm=confirm))
    if as_json:
        say_json(told)
        return
    say(f"{told['kid']} is gone; {told['live_tokens']} live tokens of it are refused from now on")


@click.command("new-seal")
@click.option("--out", required=True, type=_new_file, help="The new file; mode 0600, never overwritten.")
@json_option
def new_seal(*, out: Path, as_json: bool) -> None:
    """Make a sealing key of 256 random bits, for WATCHWORD_SEAL=file:..."""
    text = new_sealing_key()
    write_new(out, text.encode("ascii") + b"\n")
    name = SealingKey.from_text(text).name
    if as_json:
        say_json({"file": str(out), "sealing_key": name})
        return
    say(
        f"the sealing key {name} is in {out}: name it in WATCHWORD_SEAL=file:{out}, and keep a copy elsewhere"
    )


def _read(path: Path, key_file: Path | None, algorithm: str | None, kid: str | None) -> list[PrivateKey]:
    if path.stat().st_size > _LONGEST:
        raise ConfigurationError(f"{path}: expected keys, found {path.stat().st_size} bytes")
    if not is_export(path.read_bytes()):
        return [read_private_key(path.read_bytes(), alg=algorithm, kid=kid)]
    if key_file is None:
        raise ConfigurationError("--key: expected the key of the sealed file, found none")
    keys = import_keys(path.read_bytes(), SealingKey.from_text(key_file.read_text("ascii", "replace")))
    for key in keys:
        demand_no_sample(key)
    return keys


def _carried(key: PrivateKey) -> CarriedKey:
    der = base64.b64encode(key.insecure_private_der()).decode("ascii")
    return CarriedKey(kid=key.kid, algorithm=key.alg, pkcs8=der)

"""How a service proves who it is: its registered public keys, or the digests of its secret."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from watchword.errors import KeyRejected, KeySetInvalid, TokenMalformed
from watchword.tokens import strict_json
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import MAX_KEYS, JWKSet
from watchword.trust.problems import Place, holds_private_key
from watchword.trust.values import attempt

METHODS = ("jwks", "jwks_file", "jwks_uri", "secret_sha256")
MAX_KEY_FILE = 256 * 1024


def one_method(raw: Mapping[str, Any], place: Place) -> None:
    """Note a mistake if more than one method of authentication is registered (RFC 6749 §2.3).

    Without any, the credentials are registered beside the document: `watchword clients add`.
    """
    found = [name for name in METHODS if name in raw]
    if len(found) > 1:
        place.problem(f"expected at most one of {', '.join(METHODS)}, found {', '.join(found)}")


def read_key_set(value: Any, place: Place) -> JWKSet:
    """Read a JWK Set of public keys; none is passed over: each must be usable and have a `kid` of its own.

    An empty set is one: such a service cannot authenticate yet.
    """
    members = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(members, list):
        raise place.expected("a JWK Set: { keys = [...] } (RFC 7517 §5)", value)
    if len(members) > MAX_KEYS:
        raise place.problem(f"expected at most {MAX_KEYS} keys, found {len(members)}")
    keys = [attempt(_read_key, member, place.at("keys").at(index)) for index, member in enumerate(members)]
    kids = [key.kid if key is not None else None for key in keys]
    for index, kid in enumerate(kids):
        if kid is not None and kid in kids[:index]:
            place.at("keys").at(index).problem("another key of this set has the same kid")
    return JWKSet(key for key in keys if key is not None)


def read_key_file(name: str, place: Place, folder: Path | None) -> JWKSet:
    """Read a JWK Set from a file beside the document; `folder` is the document's own."""
    if folder is None:
        raise place.problem("expected jwks: a document that travels has its keys inside")
    path = folder / name
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise place.problem("expected a file with a JWK Set, found something that is no file")
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE + 1)
    except FileNotFoundError:
        raise place.problem(
            "expected a file with a JWK Set in the folder of the document, found none"
        ) from None
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or "that is no file name"
        raise place.problem(f"expected a readable file with a JWK Set: {reason.lower()}") from None
    if len(content) > MAX_KEY_FILE:
        raise place.problem(f"expected a file of at most {MAX_KEY_FILE // 1024} KiB")
    if b"PRIVATE KEY" in content:
        raise place.expected("a file with a JWK Set of public keys", "PRIVATE KEY")
    try:
        document = strict_json.decode_object(content)
    except (TokenMalformed, KeySetInvalid) as error:
        raise place.problem(f"expected a file with a JWK Set: {error}") from None
    return read_key_set(document, place)


def _read_key(jwk: Any, place: Place) -> PublicKey:
    if not isinstance(jwk, Mapping):
        raise place.expected("a JWK", jwk)
    if "kid" not in jwk:
        place.at("kid").problem("expected a kid, by which an assertion names its key, found nothing")
    if holds_private_key(jwk):
        raise place.expected("a public key", jwk)
    try:
        return PublicKey.from_jwk(jwk)
    except KeyRejected as error:
        raise place.problem(str(error)) from None

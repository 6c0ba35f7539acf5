"""Secrets that must show nowhere, in every form in which somebody could have written them down."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from watchword.tokens import base64url
from watchword.tokens.private_key import PrivateKey

_SHORTEST = 16


class Canaries:
    """What is a secret, by name."""

    def __init__(self) -> None:
        self.forms: dict[str, list[bytes]] = {}

    def add(self, name: str, secret: str | bytes) -> None:
        """Watch for a secret: as it is, as an escape, in base64 and in hex."""
        raw = secret.encode() if isinstance(secret, str) else secret
        assert len(raw) >= _SHORTEST, name
        encoded = base64.b64encode(raw)
        forms = {
            raw,
            encoded.rstrip(b"="),
            base64url.encode(raw),
            raw.hex().encode(),
            raw.hex().upper().encode(),
        }
        forms |= {
            repr(raw)[2:-1].encode(),
            quote(raw).encode(),
            json.dumps(raw.decode("latin-1"))[1:-1].encode(),
        }
        self.forms[f"{len(self.forms)} {name}"] = sorted(forms)

    def add_token(self, name: str, token: str) -> None:
        """Watch for a token, by its signature: header and claims are names, and may be told."""
        self.add(name, token.rpartition(".")[2])

    def add_key(self, name: str, key: PrivateKey) -> None:
        """Watch for a private key: its number, and runs of its PEM and DER."""
        material: Any = key._material
        if isinstance(material, rsa.RSAPrivateKey):
            number = material.private_numbers().d
        elif isinstance(material, ec.EllipticCurvePrivateKey):
            number = material.private_numbers().private_value
        else:
            number = int.from_bytes(material.private_bytes_raw(), "big")
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        self.add(name, raw)
        pem = b"".join(key.insecure_private_pem().splitlines()[1:-1])
        forms = self.forms[list(self.forms)[-1]]
        forms += [pem[48:80], str(number).encode(), f"{number:x}".encode()]

    def hits(self, where: str, content: bytes) -> Iterator[str]:
        """Return which secrets stand in something that was written, and where."""
        for name, forms in self.forms.items():
            if any(form in content for form in forms):
                yield f"{name} in {where}"

    def __len__(self) -> int:
        return len(self.forms)


def all_hits(canaries: Canaries, written: Iterable[tuple[str, bytes]]) -> list[str]:
    return [hit for where, content in written for hit in canaries.hits(where, content)]

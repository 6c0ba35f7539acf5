"""Documents to begin with, and a way to read them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from watchword.errors import TrustError
from watchword.tokens.private_key import PrivateKey
from watchword.trust.document import parse
from watchword.trust.model import Rule, Service, TrustDocument

Problems = Callable[[str], tuple[str, ...]]

USERS = """
version = 1

[services.users]
audience = "users"
url      = "http://127.0.0.1:5001"
scopes   = ["users:read", "users:write"]
claims   = ["roles"]
jwks     = { keys = [] }
"""

POSTS = """
[services.posts]
audience      = "posts-api"
url           = "http://127.0.0.1:5002/"
scopes        = ["posts:read"]
secret_sha256 = ["5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"]
"""

RULE = """
[[services.users.allow]]
caller       = "posts"
scopes       = ["users:read"]
on_behalf_of = "person"
"""

STAFF = """
[issuers.staff]
issuer     = "https://staff.example/"
jwks_uri   = "https://keys.example/jwks.json"
asserts    = "people"
algorithms = ["RS256"]
scopes     = ["posts:read"]
"""

WHOLE = USERS + RULE + POSTS + STAFF


@pytest.fixture
def read_text(tmp_path: Path) -> Callable[[str], TrustDocument]:
    return lambda text: parse(text, folder=tmp_path)


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    """The mistakes of a document, which must have some."""

    def found(text: str) -> tuple[str, ...]:
        with pytest.raises(TrustError) as raised:
            parse(text, folder=tmp_path)
        return raised.value.problems

    return found


@pytest.fixture(scope="session")
def jwk() -> dict[str, Any]:
    """A public key as a service registers it."""
    return dict(PrivateKey.generate("ES256").public.jwk)


@pytest.fixture(scope="session")
def private_numbers() -> tuple[dict[str, Any], str]:
    """A private JWK, and the member that nobody may see."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    encode = _base64url
    secret = encode(numbers.private_value)
    public = {"x": encode(numbers.public_numbers.x), "y": encode(numbers.public_numbers.y)}
    return {"kty": "EC", "crv": "P-256", "kid": "mine", "d": secret} | public, secret


@pytest.fixture(scope="session")
def weak_modulus() -> str:
    """The modulus of an RSA key that is too short."""
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    return _base64url(numbers.n, 128)


def _base64url(number: int, size: int = 32) -> str:
    from watchword.tokens import base64url

    return base64url.encode(number.to_bytes(size, "big")).decode()


def inline(members: dict[str, Any]) -> str:
    """An inline table of texts."""
    return "{ " + ", ".join(f'{name} = "{value}"' for name, value in members.items()) + " }"


def rule(caller: str, *scopes: str, name: str = "services.users.allow[0]", **members: Any) -> Rule:
    return Rule(name, caller, frozenset(scopes), members.pop("on_behalf_of", "any"), **members)


def service(client_id: str, *scopes: str, allow: tuple[Rule, ...] = (), **members: Any) -> Service:
    return Service(client_id, client_id, members.pop("url", None), frozenset(scopes), allow=allow, **members)


def document(*services: Service) -> TrustDocument:
    return TrustDocument({item.client_id: item for item in services})

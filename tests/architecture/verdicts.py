"""What is accepted and what is refused, one verdict per line; the same under every way to run Python."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from watchword.errors import WatchwordError
from watchword.resource.bearer import bearer_token, challenge
from watchword.service import Watchword
from watchword.testing import Forgery, TestIssuer
from watchword.tokens import strict_json
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.shared_secret import SharedSecret
from watchword.trust.document import parse
from watchword.wsgi import Watchword as Guarding

verdicts: dict[str, Any] = {}


def judge(name: str, deed: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Keep which error a deed ends with, and what a client would be told."""
    try:
        deed(*arguments, **options)
    except WatchwordError as error:
        verdicts[name] = [error.code, challenge(error).status]
    except (TypeError, ValueError) as error:
        verdicts[name] = type(error).__name__
    else:
        verdicts[name] = "accepted"


for algorithm in ("ES256", "RS256", "EdDSA"):
    with TestIssuer(algorithm=algorithm) as issuer:
        service = Watchword(environ={}, **issuer.settings("posts"))
        judge(f"{algorithm} genuine", service.verify, issuer.token())
        for kind in Forgery:
            judge(f"{algorithm} {kind.name}", service.verify, issuer.forge(kind))
        judge(f"{algorithm} bytes", service.verify, issuer.token().encode())
        for scope in ("posts:read", "posts:write"):
            guard = Guarding(environ={}, **issuer.settings("posts")).guard(
                ["posts:read"], role=None, audience=None
            )
            judge(f"{algorithm} {scope}", guard.admit, [f"Bearer {issuer.token(scope=scope)}"])

for value in ([], ["Bearer a", "Bearer b"], [""], ["Bearer"], ["Basic x"], ["Bearer a b"], "Bearer a"):
    judge(f"header {value}", bearer_token, value)
for text in (b'{"a":1,"a":2}', b"[]", b'{"a":NaN}', b'{"a":1}x', b"\xff", b'{"a":{"b":1,"b":1}}'):
    judge(f"json {text!r}", strict_json.decode_object, text)
for secret in (b"your_secret_key", b"short", b"a" * 32, bytes(range(32))):
    judge(f"secret {secret[:8]!r}", SharedSecret, secret)
for jwk in (
    {},
    {"kty": "oct", "k": "AAAA"},
    {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
    {"kty": "EC", "crv": "P-256"},
):
    judge(f"jwk {jwk}", PublicKey.from_jwk, jwk)
judge("key set", JWKSet.from_dict, {"keys": 1})
judge("own settings", Watchword, environ={})
judge("plain http", Watchword, issuer="http://login.example", audience="posts", environ={})
for document in ("version = 2", "version = 1\n[services.a]", "version = 1", "x"):
    judge(f"trust {document!r}", parse, document, folder=Path())
print(json.dumps(verdicts, indent=1))

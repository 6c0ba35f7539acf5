"""`python -O` takes asserts out; it must not take a check out."""

import ast
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import jwt
import pytest
import requests

from watchword.testing import Forgery
from watchword.tokens.private_key import PrivateKey

ROOT = Path(__file__).resolve().parents[2]
GUARD = 60
PLAIN, OPTIMISED = [], ["-O"]


def verdicts(*options: str) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, *options, str(Path(__file__).with_name("verdicts.py"))],
        capture_output=True,
        text=True,
        timeout=GUARD,
        check=True,
    )
    found: dict[str, object] = json.loads(ran.stdout)
    return found


@pytest.mark.threat(225)
def test_every_verdict_is_the_same_without_asserts_and_without_docstrings() -> None:
    plain = verdicts()
    assert verdicts("-O") == plain
    assert verdicts("-OO") == plain
    accepted = {name for name, verdict in plain.items() if verdict == "accepted"}
    assert {f"{alg} genuine" for alg in ("ES256", "RS256", "EdDSA")} <= accepted
    assert not [name for name in accepted if any(name.endswith(f" {kind.name}") for kind in Forgery)]
    assert len(plain) > 70


@contextmanager
def serving(options: list[str], folder: Path) -> Iterator[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    environment |= {
        "WATCHWORD_ISSUER": "http://127.0.0.1:9000",
        "WATCHWORD_LISTEN": "127.0.0.1:0",
        "WATCHWORD_TRUST": str(folder.parent / "trust.toml"),
    }
    process = subprocess.Popen(
        [sys.executable, *options, "-m", "watchword", "serve"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = next(line for line in process.stdout if "ready at" in line)
        yield ready.split("ready at ")[1].split(",")[0]
    finally:
        process.terminate()
        process.communicate(timeout=GUARD)


@pytest.mark.threat(225)
def test_the_token_service_refuses_the_same_requests(tmp_path: Path) -> None:
    key, secret = PrivateKey.generate(), secrets.token_urlsafe(32)
    jwk = ", ".join(f'{name} = "{value}"' for name, value in key.public_jwk().items())
    (tmp_path / "trust.toml").write_text(
        f"""version = 1
[services.stock]
audience = "stock"
scopes = ["stock:read"]
jwks = {{ keys = [] }}
[[services.stock.allow]]
caller = "orders"
scopes = ["stock:read"]
on_behalf_of = "any"
[services.orders]
audience = "orders"
scopes = ["orders:read"]
jwks = {{ keys = [{{ {jwk} }}] }}
[services.shop]
audience = "shop"
secret_sha256 = ["{sha256(secret.encode()).hexdigest()}"]
"""
    )

    def answers(url: str) -> list[tuple[str, int]]:
        def ask(proof: tuple[str, str] | None = None, **form: str) -> tuple[str, int]:
            told = {"grant_type": "client_credentials"} | form
            answer = requests.post(f"{url}/token", data=told, auth=proof, timeout=GUARD)
            return answer.json().get("error", "a token"), answer.status_code

        now = int(time.time())
        claims = {
            "iss": "orders",
            "sub": "orders",
            "aud": "http://127.0.0.1:9000",
            "exp": now + 60,
            "jti": "1",
        }
        signed = jwt.encode(claims, key.insecure_private_pem(), "ES256", headers={"kid": key.kid})
        proof = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        proof |= {"client_assertion": signed}
        return [
            ask(audience="stock", **proof),
            ask(audience="stock", **proof),  # the same assertion again
            ask(audience="stock"),
            ask(("shop", "wrong"), audience="stock"),
            ask(("shop", secret), audience="stock"),
            ask(("shop", secret), audience="stock", client_id="orders"),
            ask(("shop", secret), audience="orders", scope='"'),
            ask(("shop", secret), audience="stock", padding="x" * 70000),
        ]

    found = []
    for name, options in (("plain", PLAIN), ("optimised", OPTIMISED)):
        folder = tmp_path / name
        folder.mkdir()
        with serving(options, folder) as url:
            found.append(answers(url))
    assert found[0] == found[1]
    assert found[0][:2] == [("a token", 200), ("invalid_client", 401)]
    assert {status for _, status in found[0][1:]} == {400, 401, 413}


@pytest.mark.threat(225)
def test_nothing_asks_whether_it_is_debugged() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "__debug__" not in names, path.relative_to(ROOT)

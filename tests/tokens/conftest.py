"""A forge: genuine keys, genuine tokens, and every means to spoil exactly one thing about them."""

import gc
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from watchword.errors import TokenError
from watchword.tokens import base64url
from watchword.tokens.claims import AccessTokenClaims
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify

NOW = 1_800_000_000.0
ISSUER = "https://id.example"
AUDIENCE = "users"
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
CLAIM_NAMES = AccessTokenClaims.__struct_fields__
HANG = 0.05  # seconds of this thread's own work: a guard against hanging, not a measurement

# What a verifier does to the world outside: nothing. The hook hears of every file, socket and process.
_deeds: list[str] = []
_listening: list[bool] = []


def _listen(event: str, _: tuple[object, ...]) -> None:
    if _listening and event.partition(".")[0] in {
        "open",
        "socket",
        "subprocess",
        "os",
        "sqlite3",
        "urllib",
        "import",
    }:
        _deeds.append(event)


sys.addaudithook(_listen)


class Forge:
    """Signs whatever it is given with the issuer's own keys, one per algorithm; `kid` is the algorithm."""

    now = NOW
    issuer = ISSUER
    audience = AUDIENCE

    def __init__(self, rsa_key: rsa.RSAPrivateKey) -> None:
        self.keys = {alg: PrivateKey(rsa_key, alg=alg, kid=alg) for alg in ("RS256", "PS256")} | {
            alg: PrivateKey(PrivateKey.generate(alg)._material, alg=alg, kid=alg)
            for alg in ("ES256", "ES384", "EdDSA", "Ed25519")
        }
        self.jwk_set = JWKSet(key.public for key in self.keys.values())
        self.made: dict[str, tuple[Any, Mapping[str, Any], str]] = {}

    def fresh_set(self, *algorithms: str) -> JWKSet:
        """A set that has not seen any header yet."""
        return JWKSet(self.keys[alg].public for alg in algorithms or ALGORITHMS)

    def policy(
        self, issuer: str = ISSUER, audience: Any = AUDIENCE, algorithms: Any = ALGORITHMS, **more: Any
    ) -> VerificationPolicy:
        return VerificationPolicy(issuer, audience, algorithms, **more)

    def claims(self, without: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
        claims = {
            "iss": ISSUER,
            "sub": "local|42",
            "aud": AUDIENCE,
            "exp": int(NOW) + 300,
            "iat": int(NOW),
            "jti": "a-token-id",
            "client_id": "posts",
            "scope": "users:read",
            "txn": "a-story",
        }
        return {name: value for name, value in (claims | changes).items() if name not in without}

    def sign(
        self, header: Mapping[str, Any] | bytes, payload: Mapping[str, Any] | bytes, key: str = "ES256"
    ) -> str:
        """Sign any header and payload, as values or as the very bytes, with the genuine key."""
        segments = [
            base64url.encode(
                part if isinstance(part, bytes) else json.dumps(part, separators=(",", ":")).encode()
            )
            for part in (header, payload)
        ]
        token = self.sign_text(b".".join(segments), key)
        if isinstance(payload, Mapping):
            self.made = {token: (header, payload, key)}
        return token

    def other_forms(self, token: str) -> list[str]:
        """The claims of a token that was just made, signed again in other JSON texts of one meaning."""
        header, payload, key = self.made.get(token, (None, {}, ""))
        if header is None:
            return []
        in_order = {name: payload[name] for name in CLAIM_NAMES if name in payload}
        texts = [
            json.dumps(in_order | payload, separators=(",", ":"), ensure_ascii=False),
            json.dumps(dict(reversed(payload.items())), indent=1),
        ]
        return [self.sign(header, text.encode("utf-8", "surrogatepass"), key) for text in texts]

    def sign_text(self, signing_input: bytes, key: str = "ES256") -> str:
        """Sign text that is meant to be `header.payload`, with the genuine key."""
        signature = base64url.encode(self.keys[key].sign(signing_input))
        return (signing_input + b"." + signature).decode("latin-1")

    def header(self, by: str = "ES256", /, without: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
        header = {"alg": by, "kid": by, "typ": "at+jwt"} | changes
        return {name: value for name, value in header.items() if name not in without}

    def token(self, by: str = "ES256", /, without: tuple[str, ...] = (), **changes: Any) -> str:
        """A genuine token with these claims changed or left out, properly signed."""
        return self.sign(self.header(by), self.claims(without, **changes), by)

    def payload_text(self, text: str | bytes, by: str = "ES256") -> str:
        """A token whose payload is this very text, properly signed."""
        return self.sign(self.header(by), text.encode() if isinstance(text, str) else text, by)

    def with_header(self, by: str = "ES256", /, without: tuple[str, ...] = (), **changes: Any) -> str:
        """A token whose header is changed, properly signed over that header."""
        return self.sign(self.header(by, without, **changes), self.claims(), by)

    def verify(
        self, token: Any, *, keys: Any = None, policy: VerificationPolicy | None = None, now: float = NOW
    ) -> VerifiedToken:
        """Call the real `verify`, and hold it to its purity and to the hang guard."""
        keys = self.jwk_set if keys is None else keys
        policy = policy or self.policy()
        _deeds.clear()
        # what the collector does with everything that other tests left behind is not this token's doing
        gc.disable()
        started = time.thread_time()
        _listening.append(True)
        try:
            return verify(token, keys, policy, now)
        finally:
            _listening.clear()
            gc.enable()
            assert time.thread_time() - started < HANG, "verify hung"
            assert not _deeds, f"verify reached outside: {_deeds}"

    def refused(self, token: Any, leaf: type[TokenError], **how: Any) -> TokenError:
        """Demand exactly this refusal, of the same claims in other JSON texts too, and a discreet message."""
        if type(token) is str:
            for other in self.other_forms(token):
                self._refused(other, leaf, **how)
        return self._refused(token, leaf, **how)

    def _refused(self, token: Any, leaf: type[TokenError], **how: Any) -> TokenError:
        with pytest.raises(TokenError) as refusal:
            self.verify(token, **how)
        error = refusal.value
        assert type(error) is leaf, f"expected {leaf.__name__}, found {type(error).__name__}: {error}"
        message = str(error)
        assert message.replace("§", "").isascii()
        assert message.isprintable()
        assert len(message) < 500
        for segment in token.split(".") if isinstance(token, str) else ():
            assert len(segment) < 16 or segment not in message
        return error


@pytest.fixture(scope="session")
def forge() -> Forge:
    # runs over many small processes share one RSA key: making one costs more than all the rest
    shared = os.environ.get("WATCHWORD_TEST_RSA_KEY_FILE")
    if shared:
        key = load_pem_private_key(Path(shared).read_bytes(), None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, rsa.RSAPrivateKey)
        return Forge(key)
    return Forge(rsa.generate_private_key(public_exponent=65537, key_size=2048))

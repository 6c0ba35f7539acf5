"""What comes out of `verify` cannot be made, changed, copied or stored by anything else."""

import copy
import importlib
import pickle
import pkgutil
from typing import Any

import pytest

import watchword.tokens
from watchword.errors import SignatureInvalid, TokenError
from watchword.tokens.private_key import PrivateKey
from watchword.tokens.shared_secret import SharedSecret
from watchword.tokens.verified import VerifiedToken


@pytest.mark.threat(52)
def test_nothing_but_verify_makes_a_verified_token() -> None:
    with pytest.raises(TypeError, match=r"made by verify\(\) only"):
        VerifiedToken()
    with pytest.raises(TypeError, match=r"made by verify\(\) only"):
        VerifiedToken({"sub": "root"}, {}, "admin", None)
    with pytest.raises(TypeError, match="no subclasses"):
        type("Forged", (VerifiedToken,), {})


@pytest.mark.threat(52)
def test_an_empty_shell_says_nothing() -> None:
    shell = object.__new__(VerifiedToken)
    for name in (
        "subject",
        "issuer",
        "audience",
        "scope",
        "roles",
        "actors",
        "claims",
        "key_id",
        "expires_at",
        "token_id",
    ):
        with pytest.raises(AttributeError):
            getattr(shell, name)


@pytest.mark.threat(52)
def test_a_verified_token_cannot_be_copied_or_stored(forge: Any) -> None:
    token = forge.verify(forge.token())
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be pickled"):
            attempt(token)


@pytest.mark.threat(52)
def test_a_verified_token_cannot_be_changed(forge: Any) -> None:
    for text in (
        forge.token(roles=["editor"], act={"sub": "service|posts"}),
        forge.token(custom={"deep": [{"a": 1}]}),
    ):
        token = forge.verify(text)
        for name in ("scope", "_scope", "_claims", "key_id", "anything"):
            with pytest.raises(AttributeError, match="immutable"):
                setattr(token, name, "forged")
            with pytest.raises(AttributeError, match="immutable"):
                delattr(token, name)
        with pytest.raises(TypeError):
            token.claims["sub"] = "root"  # type: ignore[index]
        before = dict(token.claims)
        claims = token.claims
        for inner in ("roles", "act", "custom"):
            value = claims.get(inner)
            if isinstance(value, list):
                value.append("admin")
            elif isinstance(value, dict):
                value["sub"] = "root"
                value.get("deep", [{}])[0]["a"] = 2
        assert dict(token.claims) == before
        assert "admin" not in token.roles
        assert "root" not in token.actors


@pytest.mark.threat(56)
def test_a_printed_token_shows_neither_its_text_nor_control_characters(forge: Any) -> None:
    text = forge.token(sub="local|" + "x" * 500, custom="a-secret")
    shown = repr(forge.verify(text)) + str(forge.verify(text))
    assert "a-secret" not in shown
    assert len(shown) < 600
    assert not any(segment in shown for segment in text.split("."))


@pytest.mark.threat(52)
def test_no_function_of_tokens_gives_claims_away_unverified() -> None:
    for module in pkgutil.iter_modules(watchword.tokens.__path__):
        names = vars(importlib.import_module(f"watchword.tokens.{module.name}"))
        for name in names:
            assert not name.startswith(("unverified", "insecure", "unsafe")), name
    public = {n for n in vars(VerifiedToken) if not n.startswith("_")}
    assert public == {
        "subject", "issuer", "client_id", "audience", "scope", "roles", "actors", "token_id", "story_id",
        "session_id",
        "issued_at", "expires_at", "claims", "key_id",
    }  # fmt: skip


@pytest.mark.threat(52, 53)
def test_a_refusal_says_nothing_of_what_the_forgery_claims(forge: Any) -> None:
    token = forge.token(sub="a-very-special-subject")
    forged = token[:-8] + ("A" * 8 if not token.endswith("A" * 8) else "B" * 8)
    with pytest.raises(TokenError) as refused:
        forge.verify(forged)
    assert "special" not in str(refused.value) + repr(refused.value.args) + repr(vars(refused.value))
    assert refused.value.__cause__ is None


@pytest.mark.threat(53)
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"])
@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"nbf": 10**12},
        {"sub": 7},
        {"cnf": {}},
        {"jti": ""},
    ],
)
def test_an_expired_forgery_is_called_a_forgery(forge: Any, alg: str, changes: dict[str, Any]) -> None:
    token, other = forge.token(alg, **changes), forge.token(alg)
    forged = f"{token.rpartition('.')[0]}.{other.rpartition('.')[2]}"
    for _ in range(2):  # with a header that is new, and with one that is known
        forge.refused(forged, SignatureInvalid)
        forge.refused(forged, SignatureInvalid, keys=forge.fresh_set())


@pytest.mark.threat(52, 53)
@pytest.mark.parametrize("payload", [b"", b"not json", b'{"exp":1,"exp":2}', b"[" * 400, b"\xff", b"NaN"])
def test_a_payload_is_not_even_parsed_before_the_signature_held(forge: Any, payload: bytes) -> None:
    token, other = forge.payload_text(payload), forge.token()
    forge.refused(f"{token.rpartition('.')[0]}.{other.rpartition('.')[2]}", SignatureInvalid)


@pytest.mark.threat(56)
@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "\u202eevil\u0007" + "x" * 3_000}, {"sub": ["x" * 3_000]}, {"iss": "evil" * 500},
        {"jti": 7}, {"scope": "ü" * 900},
        {"act": {"sub": {"evil": "x"}}}, {"exp": "evil-exp"}, {"roles": ["ok", {"evil": 1}]},
    ],
)  # fmt: skip
def test_no_message_echoes_a_claim_unescaped_or_whole(forge: Any, changes: dict[str, Any]) -> None:
    token = forge.token(**changes)
    with pytest.raises(TokenError) as refused:
        forge.verify(token)
    message = str(refused.value)
    assert message.isprintable()
    assert len(message) < 300
    assert "evil-exp" not in message
    assert "x" * 100 not in message


@pytest.mark.threat(56)
def test_secrets_and_private_keys_cannot_be_printed_or_pickled(forge: Any) -> None:
    secret = SharedSecret(bytes(range(40)))
    key = PrivateKey.generate("ES256")
    assert repr(secret) == "SharedSecret(…)"
    assert repr(key) == f"PrivateKey(kid='{key.kid}', alg='ES256')"
    for hidden in (secret, key):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                attempt(hidden)

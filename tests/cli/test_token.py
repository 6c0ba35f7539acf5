"""`watchword token`: what a token says, in words, and which check refuses it."""

import io
import json
import math
import sys

import pytest

from watchword.cli import main
from watchword.clock import SYSTEM_CLOCK
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.tokens import base64url, strict_json
from watchword.tokens.claims import typed

ISSUER = "https://tokens.example"


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer(ISSUER, MemoryKeyStore())


@pytest.fixture
def ask(monkeypatch, capsys, tmp_path, issuer):
    """Run a command with this text on stdin; exit code, stdout, stderr."""
    (tmp_path / "jwks.json").write_bytes(strict_json.encode(issuer.jwk_set().to_dict()))

    def run(text: str, *arguments: str):
        monkeypatch.setattr(
            sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode("utf-8", "surrogateescape")))
        )
        words = [word.replace("JWKS", str(tmp_path / "jwks.json")) for word in arguments]
        code = main(["token", *words])
        return code, *capsys.readouterr()

    return run


VERIFY = ("verify", "--issuer", ISSUER, "--audience", "users", "--jwks-file", "JWKS")


def delegated(issuer: Issuer) -> str:
    now = math.floor(SYSTEM_CLOCK.now())
    claims = {
        "iss": ISSUER,
        "sub": "staff|john",
        "aud": "users",
        "exp": now + 300,
        "iat": now,
        "jti": "one",
        "client_id": "posts",
        "scope": "users:read",
        "txn": "story",
        "roles": ["reader"],
        "act": {"sub": "service|posts", "act": {"sub": "service|web"}},
    }
    return issuer.sign(typed(claims))


def test_inspect_tells_who_for_whom_on_whose_behalf_until_when_and_which_key(ask, issuer):
    code, out, _ = ask(delegated(issuer), "inspect")
    assert code == 0
    assert out.startswith("NOT VERIFIED")
    for words in (
        "staff|john",
        "users",
        "service|posts for service|web for staff|john",
        "in 5 min",
        issuer.keyring.active.kid,
        "ES256",
        "reader",
        "users:read",
        ISSUER,
    ):
        assert words in out


def test_inspect_takes_an_authorization_header_too(ask, issuer):
    assert ask(f"Bearer {delegated(issuer)}\n", "inspect")[0] == 0


def test_inspect_reads_a_file(ask, issuer, tmp_path):
    (tmp_path / "token").write_text(delegated(issuer))
    assert ask("", "inspect", "--file", str(tmp_path / "token"))[0] == 0


def test_inspect_never_calls_a_token_verified(ask, issuer):
    code, out, _ = ask(delegated(issuer)[:-4] + "AAAA", "inspect", "--json")
    told = json.loads(out)
    assert (code, told["verified"]) == (0, False)
    assert told["claims"]["sub"] == "staff|john"


def test_a_hostile_token_cannot_paint_the_terminal(ask):
    claims = {"sub": "\x1b[2J\u202e", "act": {"sub": ["x\n"]}, "exp": 1e300, "aud": {"a": "\r"}, "iat": True}
    token = (
        b".".join(base64url.encode(strict_json.encode(part)) for part in ({"alg": "\x07"}, claims)) + b".AA"
    )
    code, out, _ = ask(token.decode(), "inspect")
    assert code == 0
    assert all(line.isprintable() for line in out.splitlines())
    assert "\x1b" not in out
    code, out, _ = ask(token.decode(), "inspect", "--json")
    assert out.strip().isascii()
    assert out.strip().isprintable()


@pytest.mark.threat(213)
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(ask, issuer, command):
    token = delegated(issuer)
    needed = VERIFY[1:] if command == "verify" else ()
    code, out, err = ask("", command, *needed, token)
    assert code == 2
    assert "stdin" in err
    assert token.split(".")[2] not in out + err


@pytest.mark.parametrize("text", ["", "\n", "not a token", "a.b", "a" * 100_000, "\udcff"])
def test_what_is_no_token_is_told_so(ask, text):
    for command in (("inspect",), VERIFY):
        code, out, err = ask(text, *command)
        assert code == 1
        assert "token_malformed" in out or "expected a token" in err


def test_verify_says_what_holds(ask, issuer):
    code, out, _ = ask(delegated(issuer), *VERIFY)
    assert code == 0
    assert out.startswith("verified: ")
    assert json.loads(ask(delegated(issuer), *VERIFY, "--json")[1])["verified"] is True


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda token: token[:-4] + "AAAA", "token_signature_invalid"),
        (lambda _: Issuer(ISSUER, MemoryKeyStore()).issue("a", "users"), "token_key_unknown"),
    ],
)
def test_verify_says_which_check_refused(ask, issuer, change, check):
    code, out, _ = ask(change(delegated(issuer)), *VERIFY)
    assert code == 1
    assert out.startswith(f"refused: {check}: ")
    told = json.loads(ask(change(delegated(issuer)), *VERIFY, "--json")[1])
    assert (told["ok"], told["code"]) == (False, check)


def test_verify_holds_to_issuer_audience_and_algorithm(ask, issuer):
    token = delegated(issuer)
    for option, value, check in (
        ("--issuer", f"{ISSUER}/", "token_issuer_not_trusted"),
        ("--audience", "posts", "token_audience_mismatch"),
    ):
        words = [
            value if before == option else word for before, word in zip(("", *VERIFY), VERIFY, strict=False)
        ]
        assert check in ask(token, *words)[1]
    assert "token_algorithm_not_allowed" in ask(token, *VERIFY, "--algorithm", "RS256")[1]
    assert "token_type_not_allowed" in ask(token, *VERIFY, "--type", "JWT")[1]


def test_keys_that_cannot_be_had_are_no_verdict_about_the_token(ask, issuer):
    words = (
        "verify",
        "--issuer",
        ISSUER,
        "--audience",
        "users",
        "--jwks-uri",
        "http://127.0.0.1:1/jwks.json",
    )
    code, out, err = ask(delegated(issuer), *words)
    assert code == 1
    assert "refused" not in out
    assert err.startswith("watchword: the keys of")

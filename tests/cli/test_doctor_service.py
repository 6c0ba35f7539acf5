"""`watchword doctor --service`: what a service needs from its issuer, and what it may do at its callees."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from watchword.cli import main
from watchword.testing.peers import IssuingPeer, Reply
from watchword.tokens.private_key import PrivateKey

TRUST = """
version = 1

[services.posts]
audience = "posts"
scopes = ["posts:read"]
jwks = {{ keys = [{posts}] }}

[services.users]
audience = "users"
scopes = ["users:read"]
jwks = {{ keys = [] }}

[[services.users.allow]]
caller = "posts"
scopes = ["users:read"]
when_subject_has = ["posts:read"]
on_behalf_of = "person"

[services.order-items]
audience = "order-items"
scopes = ["items:read"]
jwks = {{ keys = [] }}

[[services.order-items.allow]]
caller = "posts"
scopes = ["items:read"]
on_behalf_of = "service"

[services.mail]
audience = "mail"
scopes = ["mail:send"]
jwks = {{ keys = [] }}
"""


@pytest.fixture
def issuer() -> Iterator[IssuingPeer]:
    peer = IssuingPeer()
    with peer.running():
        yield peer


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "posts.key"
    path.touch(0o600)
    path.write_bytes(PrivateKey.generate().insecure_private_pem())
    return path


@pytest.fixture
def ask(monkeypatch: Any, tmp_path: Path, capsys: Any, issuer: IssuingPeer, key_file: Path) -> Any:
    for name in list(os.environ):
        if name.startswith("WATCHWORD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "", **settings: str | None) -> tuple[int, list[tuple[str, ...]]]:
        told = {"ISSUER": issuer.url, "AUDIENCE": "posts", "CLIENT_KEY_FILE": str(key_file)} | settings
        for name, value in told.items():
            if value is not None:
                monkeypatch.setenv(f"WATCHWORD_{name}", value)
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = main(["doctor", "--service", "--json", *arguments])
        findings = json.loads(capsys.readouterr().out)["findings"]
        return code, [(one["status"], one["about"], one["text"]) for one in findings]

    return run


def texts(findings: list[tuple[str, ...]], status: str, about: str) -> str:
    return " | ".join(text for s, a, text in findings if (s, a) == (status, about))


def test_a_service_that_is_well_is_told_part_by_part(ask: Any, issuer: IssuingPeer) -> None:
    code, found = ask(URL_USERS="http://127.0.0.1:5001")
    assert code == 0
    assert [(status, about) for status, about, _ in found] == [
        ("OK", "clock"), ("OK", "settings"), ("OK", "issuer"), ("OK", "keys"), ("OK", "credential"),
        ("OK", "rule"),
    ]  # fmt: skip
    assert issuer.issuer.keyring.active.kid in texts(found, "OK", "keys")
    assert "users: posts may call it as itself: users:read" in texts(found, "OK", "rule")


def test_every_wrong_setting_is_told_at_once(ask: Any) -> None:
    code, found = ask(ISSUER="ftp://x", LEEWAY="soon")
    assert code == 1
    assert "WATCHWORD_ISSUER" in texts(found, "FAIL", "settings")
    assert "WATCHWORD_LEEWAY" in texts(found, "FAIL", "settings")


def test_a_key_that_others_can_read_comes_with_the_command_that_mends_it(ask: Any, key_file: Path) -> None:
    key_file.chmod(0o644)
    _, found = ask()
    assert texts(found, "WARN", "credential") == (
        f"{key_file} can be read by other users; run: chmod 600 {key_file}"
    )


def test_an_issuer_that_is_not_there_is_told_with_the_reason(ask: Any) -> None:
    code, found = ask(ISSUER="http://127.0.0.1:9")
    assert code == 1
    assert "nothing listens there" in texts(found, "FAIL", "issuer")
    assert "nothing listens there" in texts(found, "FAIL", "keys")
    assert "cannot be asked" in texts(found, "FAIL", "credential")


def test_a_name_that_does_not_resolve_is_told(ask: Any) -> None:
    _, found = ask(ISSUER="https://nowhere.invalid")
    assert "its name cannot be resolved" in texts(found, "FAIL", "issuer")


def test_another_issuers_metadata_is_not_taken_for_ours(ask: Any, issuer: IssuingPeer) -> None:
    issuer.routes["/.well-known/oauth-authorization-server"] = lambda *_: Reply(200, {"issuer": "https://x"})
    code, found = ask()
    assert code == 1
    assert "issuer is exactly the configured one" in texts(found, "FAIL", "issuer")


def test_a_clock_that_differs_is_told(ask: Any, issuer: IssuingPeer, monkeypatch: Any) -> None:
    class Ahead:
        def now(self) -> float:
            return SYSTEM.now() + 90

        def monotonic(self) -> float:
            return SYSTEM.monotonic()

    module = sys.modules["watchword.cli.doctor"]
    SYSTEM = module.SYSTEM_CLOCK
    monkeypatch.setattr(module, "SYSTEM_CLOCK", Ahead())
    _, found = ask()
    assert "differs from the issuer's by +" in texts(found, "WARN", "clock")


def test_a_private_key_in_the_key_set_is_an_alarm(ask: Any, issuer: IssuingPeer) -> None:
    good = issuer.issuer.jwk_set().to_dict()["keys"]
    private = dict(PrivateKey.generate().public_jwk()) | {"d": "AAAA"}
    issuer.routes["/.well-known/jwks.json"] = lambda *_: Reply(200, {"keys": [*good, private]})
    code, found = ask()
    assert code == 1
    assert "private key published" in texts(found, "FAIL", "keys")
    assert "AAAA" not in repr(found)


def test_a_service_that_the_issuer_does_not_know_learns_what_to_look_at(
    ask: Any, issuer: IssuingPeer, key_file: Path
) -> None:
    issuer.denial = Reply(401, {"error": "invalid_client"}, {"X-Request-Id": "r-9"})
    code, found = ask(URL_USERS="http://127.0.0.1:5001")
    told = texts(found, "FAIL", "credential")
    kid = PrivateKey.from_pem(key_file.read_bytes()).kid
    assert code == 1
    assert f"does not know posts by the key {kid} (request r-9)" in told
    assert "services.posts" in told


def test_a_service_without_a_key_that_calls_others_is_told(ask: Any) -> None:
    code, found = ask(CLIENT_KEY_FILE=None, URL_USERS="http://127.0.0.1:5001")
    assert code == 1
    assert texts(found, "FAIL", "credential") == "none, but it calls users: set WATCHWORD_CLIENT_KEY_FILE"
    code, found = ask(CLIENT_KEY_FILE=None)
    assert "none" in texts(found, "FAIL", "credential")  # the URL of the first run still stands


def test_a_service_that_calls_nobody_is_known_all_the_same(ask: Any, issuer: IssuingPeer) -> None:
    issuer.denial = Reply(400, {"error": "invalid_target"})
    code, found = ask()
    assert code == 0
    assert f"{issuer.url} knows posts by this proof" in texts(found, "OK", "credential")


def test_no_rule_for_itself_is_no_failure_but_a_denied_caller_is(ask: Any, issuer: IssuingPeer) -> None:
    issuer.denial = Reply(400, {"error": "invalid_target"})
    code, found = ask(URL_USERS="http://127.0.0.1:5001")
    assert code == 0
    assert "--caller-token" in texts(found, "WARN", "rule")
    code, found = ask("--caller-token", stdin=issuer.token())
    assert code == 1
    assert "john_doe by web, with posts:read" in texts(found, "OK", "caller")
    assert 'the owner of users must allow posts: [[services.users.allow]] caller = "posts"' in texts(
        found, "FAIL", "rule"
    )


def test_a_callers_token_is_exchanged_for_each_callee_and_never_shown(ask: Any, issuer: IssuingPeer) -> None:
    token = issuer.token()
    code, found = ask(
        "--caller-token",
        stdin=token + "\n",
        URL_USERS="http://127.0.0.1:5001",
        URL_ORDER_ITEMS="http://127.0.0.1:5002",
    )
    assert code == 0
    told = texts(found, "OK", "rule")
    assert "order-items: posts may call it for this caller" in told
    assert "users: posts may call it for this caller" in told
    assert token not in repr(found)
    _, found = ask("--caller-token", stdin=issuer.token(audience="other"))
    assert "token_audience_mismatch" in texts(found, "FAIL", "caller")


def test_a_trust_document_tells_the_rules_and_whether_the_key_is_registered(
    ask: Any, issuer: IssuingPeer, key_file: Path, tmp_path: Path
) -> None:
    key = PrivateKey.from_pem(key_file.read_bytes())
    document = tmp_path / "trust.toml"

    def write(jwk: Any) -> None:
        members = ", ".join(f'{name} = "{value}"' for name, value in dict(jwk).items())
        document.write_text(TRUST.format(posts=f"{{ {members} }}"))

    write(key.public_jwk())
    urls = {f"URL_{name}": "http://127.0.0.1:5001" for name in ("USERS", "ORDER_ITEMS", "MAIL", "GONE")}
    code, found = ask("--trust", str(document), **urls)
    assert code == 1
    assert "has the service posts" in texts(found, "OK", "trust")
    assert "users allows posts for person: users:read" in texts(found, "OK", "rule")
    assert "order-items allows posts for service: items:read" in texts(found, "OK", "rule")
    told = texts(found, "FAIL", "rule")
    assert 'the owner of mail must allow posts: [[services.mail.allow]] caller = "posts"' in told
    assert "WATCHWORD_URL_GONE: the document has no such service" in told
    write(PrivateKey.generate().public_jwk())
    _, found = ask("--trust", str(document))
    assert f"expected the key {key.kid} of this service" in texts(found, "FAIL", "trust")
    document.write_text("version = 1\n")
    _, found = ask("--trust", str(document))
    assert "add [services.posts]" in texts(found, "FAIL", "trust")
    document.write_text("version = 7\n")
    _, found = ask("--trust", str(document))
    assert "version" in texts(found, "FAIL", "trust")


def test_people_get_one_line_per_finding_and_a_misplaced_option_is_told(
    issuer: IssuingPeer, key_file: Path, tmp_path: Path
) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    told = {"ISSUER": issuer.url, "AUDIENCE": "posts", "CLIENT_KEY_FILE": str(key_file)}
    ran = subprocess.run(
        [sys.executable, "-m", "watchword", "doctor", "--service"],
        cwd=tmp_path,
        env=clean | {f"WATCHWORD_{name}": value for name, value in told.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("OK   credential")
    assert main(["doctor", "--caller-token"]) == 2

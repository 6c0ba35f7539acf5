"""`watchword clients` beside a running server: secrets and keys with an end, clients that are shut out."""

import contextlib
import hashlib
import json
import os
import secrets
import stat
import time

import pytest

from watchword.client.authentication import KeyAuthentication
from watchword.tokens.private_key import PrivateKey

REPORTS = """
[services.reports]
audience = "reports"
scopes = ["reports:read"]

[[services.users.allow]]
caller = "reports"
scopes = ["users:read"]
on_behalf_of = "any"
"""


@pytest.fixture
def served(start, tmp_path):
    """A server whose document knows `reports`, but not how it proves who it is."""
    served = start()
    trust = tmp_path / "wider.toml"
    trust.write_text((tmp_path / "trust.toml").read_text() + REPORTS)
    served.told("trust", "apply", trust.name)
    return served


def asked(served, secret: str, client: str = "reports"):
    form = {"grant_type": "client_credentials", "audience": "users"}
    return served.request("POST", "/token", form=form, Authorization=served.basic(client, secret))


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@pytest.mark.threat(94, 213, 214)
def test_a_registered_secret_works_in_the_next_answer_and_is_nowhere_but_in_its_file(served) -> None:
    warning = served.told("trust", "show")["warnings"][0]
    assert "run: watchword clients add reports" in warning
    done = served.command("clients", "add", "reports", "--secret-out", "reports.secret")
    assert done.returncode == 0, done.stderr
    file = served.folder / "reports.secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    secret = file.read_text()
    assert len(secret) >= 43
    assert asked(served, secret).status == 200
    assert served.told("trust", "show")["warnings"] == []
    assert secret not in done.stdout + done.stderr
    (event,) = [event for event in served.events() if event["type"] == "client.added"]
    assert (event["actor"], event["client"], event["reason"]) == (
        f"operator|{os.geteuid()}",
        "reports",
        "secret",
    )
    assert served.stop() == 0
    for path in served.folder.rglob("*"):
        if path.is_file() and path != file:
            assert secret.encode() not in path.read_bytes(), path


@pytest.mark.threat(173)
def test_the_old_secret_works_until_its_end_and_the_new_one_at_once(served) -> None:
    old, new, newest = (secrets.token_urlsafe(32) for _ in range(3))
    served.operation("clients.add", client_id="reports", secret_sha256=digest(old))
    served.operation("clients.rotate-secret", client_id="reports", secret_sha256=digest(new), old_for=3600)
    assert [asked(served, secret).status for secret in (old, new)] == [200, 200]
    body = {"client_id": "reports", "secret_sha256": digest(newest), "old_for": 3600}
    refused = served.at_socket("/admin/clients/rotate-secret", json.dumps(body).encode())
    assert refused.json()["code"] == "registration_refused"
    told = served.told(
        "clients", "rotate-secret", "reports", "--secret-out", "newest.secret", "--old-until", "0"
    )
    assert told["old_until"] <= time.time()
    newest = (served.folder / "newest.secret").read_text()
    assert [asked(served, secret).status for secret in (old, new, newest)] == [401, 401, 200]
    assert [found["valid"] for found in served.operation("clients.show", client_id="reports")["clients"][0][
        "credentials"
    ]] == [True]  # fmt: skip


@pytest.mark.threat(98, 173)
def test_keys_are_registered_replaced_and_ended(served) -> None:
    def assertion(key) -> int:
        form = {"grant_type": "client_credentials", "audience": "users"}
        fields, headers = list(form.items()), {}
        KeyAuthentication("reports", key).authenticate(fields, headers, issuer=served.issuer, now=time.time())
        return served.request("POST", "/token", form=fields, **headers).status

    served.told("clients", "add", "reports", "--key-out", "first.key")
    first = PrivateKey.from_pem((served.folder / "first.key").read_bytes(), alg="ES256")
    second = PrivateKey.generate("ES256")
    assert [assertion(key) for key in (first, second)] == [200, 401]
    (served.folder / "second.jwks").write_text(json.dumps({"keys": [dict(second.public_jwk())]}))
    served.told("clients", "set-keys", "reports", "--jwks", "second.jwks", "--old-until", "1h")
    assert [assertion(key) for key in (first, second)] == [200, 200]
    served.told("clients", "set-keys", "reports", "--jwks", "second.jwks", "--old-until", "0")
    assert [assertion(key) for key in (first, second)] == [401, 200]
    private = {"keys": [{**second.public_jwk(), "d": "AAAA"}]}
    (served.folder / "private.jwks").write_text(json.dumps(private))
    refused = served.told("clients", "set-keys", "reports", "--jwks", "private.jwks", exit_code=2)
    assert "a private key" in refused["problems"][0]


@pytest.mark.threat(102)
def test_a_disabled_client_gets_nothing_and_its_tokens_count_no_more(served) -> None:
    secret = secrets.token_urlsafe(32)
    served.operation("clients.add", client_id="reports", secret_sha256=digest(secret))
    token = asked(served, secret).json()["access_token"]

    def active() -> bool:
        reply = served.request(
            "POST", "/introspect", form={"token": token}, Authorization=served.basic("users")
        )
        return reply.json()["active"]

    assert active()
    refused = served.told("clients", "disable", "reports", exit_code=1)
    assert refused["code"] == "confirmation_required"
    assert active()
    told = served.told("clients", "disable", "reports", "--confirm", "reports")
    assert told["tokens_end_within"] == 300
    assert asked(served, secret).status == 401
    assert not active()
    introspecting = served.request(
        "POST", "/introspect", form={"token": token}, Authorization=served.basic("reports", secret)
    )
    assert introspecting.status == 401
    # a client whose credentials are in the document is shut out in the same way, and stays so after a restart
    served.told("clients", "disable", "posts", "--confirm", "posts")
    assert served.token().status == 401
    assert served.stop() == 0
    again = type(served)(served.folder, TRUST="trust.toml")
    try:
        assert again.token().status == 401
        assert asked(again, secret).status == 401
        again.told("clients", "enable", "posts")
        assert again.token().status == 200
    finally:
        again.stop()
    kinds = [(event["type"], event["client"]) for event in served.events() if event["client"] == "posts"]
    assert ("operation.requested", "posts") in kinds
    assert [kind for kind, _ in kinds if kind.startswith("client.")] == ["client.disabled", "client.enabled"]


@pytest.mark.threat(95, 102)
def test_a_service_has_its_credentials_from_one_source(served) -> None:
    refused = served.told("clients", "add", "posts", "--secret-out", "x", exit_code=1)
    assert refused["code"] == "registration_refused"
    assert not (served.folder / "x").exists()
    served.told("clients", "add", "reports", "--secret-out", "reports.secret")
    both = (
        (served.folder / "wider.toml")
        .read_text()
        .replace('audience = "reports"', f'audience = "reports"\nsecret_sha256 = ["{"0" * 64}"]')
    )
    (served.folder / "both.toml").write_text(both)
    for verb in ("plan", "apply"):
        refused = served.told("trust", verb, "both.toml", exit_code=2)
        assert "services.reports: its credentials are registered" in refused["problems"][0]
    served.told("clients", "remove", "reports", "--confirm", "reports")
    served.told("trust", "apply", "both.toml")


@pytest.mark.threat(102)
def test_whoever_gets_the_name_of_a_service_that_went_does_not_get_its_credentials(served) -> None:
    secret = secrets.token_urlsafe(32)
    served.operation("clients.add", client_id="reports", secret_sha256=digest(secret))
    planned = served.told("trust", "plan", "trust.toml", exit_code=3)
    assert any("its registered credentials end with it" in warning for warning in planned["warnings"])
    served.told("trust", "apply", "trust.toml")
    assert [event["type"] for event in served.events()][-2:] == ["trust.applied", "client.removed"]
    served.told("trust", "apply", "wider.toml")
    assert asked(served, secret).status == 401
    (shown,) = served.operation("clients.show", client_id="reports")["clients"]
    assert (shown["source"], shown["method"]) == (None, None)


@pytest.mark.threat(213)
def test_a_secret_is_never_written_over_another_file_nor_kept_if_it_was_refused(served) -> None:
    kept = served.folder / "kept.secret"
    kept.write_text("keep me")
    done = served.command("clients", "add", "reports", "--secret-out", "kept.secret")
    assert (done.returncode, kept.read_text()) == (2, "keep me")
    done = served.command("clients", "add", "nobody", "--key-out", "nobody.key")
    assert done.returncode == 1
    assert "no service of the document in force has this name" in done.stderr
    assert not (served.folder / "nobody.key").exists()


def test_people_read_who_proves_what_and_how(served) -> None:
    served.told("clients", "add", "reports", "--secret-out", "one.secret")
    served.told("clients", "rotate-secret", "reports", "--secret-out", "two.secret", "--old-until", "7d")
    served.told("clients", "disable", "reports", "--confirm", "reports")
    shown = served.command("clients", "show").stdout
    assert "posts: client_secret, document; enabled" in shown
    assert "reports: client_secret, registered; disabled since " in shown
    assert shown.count("  since ") == 2
    assert shown.count(", until ") == 1
    with contextlib.suppress(FileNotFoundError):
        assert (served.folder / "two.secret").read_text() not in shown


def test_without_a_server_a_sealing_key_of_the_environment_or_a_descriptor_opens_the_folder(served) -> None:
    assert served.stop() == 0
    sealing_key = served.folder / "watchword-data" / "sealing.key"
    # the command begins itself anew, without the key in its environment: before it has made any file
    served.environ["SEALING_KEY"] = sealing_key.read_text()
    add = ("clients", "add", "reports", "--secret-out", "reports.secret")
    done = served.command(*add, SEAL="env:SEALING_KEY")
    assert (done.returncode, done.stderr) == (0, "")
    assert (served.folder / "reports.secret").exists()
    del served.environ["SEALING_KEY"]
    done = served.command("clients", "show", SEAL="env:SEALING_KEY")
    assert done.returncode != 0
    assert "SEALING_KEY" in done.stderr
    for missing in ("3", "17"):  # a number that nobody opened, and that something else may get later
        done = served.command("clients", "show", SEAL=f"fd:{missing}")
        assert done.returncode != 0
        assert f"WATCHWORD_SEAL: fd:{missing} cannot be read" in done.stderr
        assert "Task" not in done.stderr

"""`watchword keys` beside a running server, and without one: in force in the very next answer."""

import os
import signal
import subprocess
import sys

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.keys.keyring import Keyring
from watchword.keystores.files import FileKeyStore
from watchword.tokens.private_key import PrivateKey

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
PUBLISHED_SOON = {"KEY_CACHED_FOR": "0s", "CLOCK_SKEW": "0s"}


def published(served) -> list[str]:
    return [key["kid"] for key in served.request("GET", "/.well-known/jwks.json").json()["keys"]]


def introspected(served, token: str, client: str = "users") -> bool:
    reply = served.request("POST", "/introspect", form={"token": token}, Authorization=served.basic(client))
    assert reply.status == 200
    return reply.json()["active"]


def by_state(served) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key in served.operation("keys.show")["keys"]:
        found.setdefault(key["state"], []).append(key["kid"])
    return found


def exchanged(served, token: str):
    form = {
        "grant_type": EXCHANGE,
        "subject_token": token,
        "subject_token_type": ACCESS_TOKEN,
        "audience": "posts",
    }
    return served.request("POST", "/token", form=form, Authorization=served.basic("users"))


@pytest.mark.threat(170)
def test_a_revoked_key_is_gone_in_the_next_answer_and_another_signs(start) -> None:
    served = start(**PUBLISHED_SOON)
    token = served.token().json()["access_token"]
    (leaked,), (reserve,) = (by_state(served)[state] for state in ("active", "prepared"))
    assert introspected(served, token)
    told = served.told("keys", "revoke", leaked, "--confirm", leaked)
    assert (told["signs"], told["live_tokens"], told["cached_for"]) == (reserve, 1, 0)
    assert leaked not in published(served)
    assert not introspected(served, token)
    assert exchanged(served, token).status == 400
    assert introspected(served, served.token().json()["access_token"])
    states = by_state(served)
    assert (states["active"], states["revoked"]) == ([reserve], [leaked])
    assert len(states["prepared"]) == 1
    assert served.request("GET", f"/public-key?kid={leaked}").status == 404


@pytest.mark.threat(215)
def test_a_key_is_revoked_only_if_it_is_named_twice_and_wish_and_deed_are_events(start) -> None:
    served = start(**PUBLISHED_SOON)
    (kid,) = by_state(served)["active"]
    for confirmation in ([], ["--confirm", kid[:-1]]):
        refused = served.told("keys", "revoke", kid, *confirmation, exit_code=1)
        assert refused["code"] == "confirmation_required"
        assert f"--confirm {kid}" in refused["problems"][0]
    assert kid in published(served)
    served.told("keys", "revoke", kid, "--confirm", kid)
    events = [(event["type"], event["outcome"]) for event in served.events() if event["kid"] == kid]
    assert events[-2:] == [("operation.requested", "allowed"), ("key.revoked", "allowed")]
    assert events.count(("operation.refused", "refused")) == 2
    assert {event["actor"] for event in served.events() if event["type"] == "key.revoked"} == {
        f"operator|{os.geteuid()}"
    }


@pytest.mark.threat(170, 171)
def test_with_no_key_to_follow_the_operator_chooses_between_silence_and_strangeness(start) -> None:
    served = start()
    (leaked,), (reserve,) = (by_state(served)[state] for state in ("active", "prepared"))
    refused = served.told("keys", "revoke", leaked, "--confirm", leaked, exit_code=1)
    assert refused["code"] == "no_successor"
    assert leaked in published(served)
    done = served.command("keys", "revoke", leaked, "--confirm", leaked, "--stop-issuing")
    assert done.returncode == 0
    assert "no token is issued until" in done.stdout
    assert "may accept tokens of the revoked key for up to 1h" in done.stdout
    assert served.token().status == 503
    assert served.request("GET", "/health/ready").status == 503
    assert published(served) == [reserve]
    assert "no key is active" in served.told("keys", "show")["warnings"][0]
    refused = served.told("keys", "activate", reserve, exit_code=1)
    assert refused["code"] == "key_not_ready"
    assert "wait another" in refused["problems"][0]


def test_a_key_that_verifiers_may_lack_signs_only_where_that_is_asked_for(start) -> None:
    served = start()
    (leaked,), (reserve,) = (by_state(served)[state] for state in ("active", "prepared"))
    done = served.command("keys", "revoke", leaked, "--confirm", leaked, "--activate-unpublished")
    assert f"{reserve} signs now" in done.stdout
    assert "verifiers that do not look for a key they lack refuse its tokens for up to 1h" in done.stdout
    assert introspected(served, served.token().json()["access_token"])
    both = served.command("keys", "revoke", "x", "--stop-issuing", "--activate-unpublished")
    assert both.returncode == 2


def test_a_key_changes_by_hand_and_old_tokens_stay_good(start) -> None:
    served = start(**PUBLISHED_SOON)
    token = served.token().json()["access_token"]
    (old,) = by_state(served)["active"]
    new = served.told("keys", "prepare")["kid"]
    assert new in published(served)
    assert served.told("keys", "activate", new)["signs"] == new
    assert introspected(served, token)
    assert published(served)[0] == new
    key = next(key for key in served.told("keys", "show")["keys"] if key["kid"] == old)
    assert (key["state"], key["live_tokens"]) == ("retired", 1)
    assert key["live_until"] <= key["needed_until"]
    told = served.told("keys", "retire", new, "--confirm", new)
    assert (told["state"], told["signs"] in published(served)) == ("retired", True)


@pytest.mark.threat(174)
def test_a_key_older_than_the_policy_is_warned_of(start, tmp_path) -> None:
    key, long_ago = PrivateKey.generate(), SYSTEM_CLOCK.now() - 40 * 86_400
    FileKeyStore(tmp_path / "keys").save(Keyring().prepare(key, long_ago).activate(key.kid, long_ago))
    served = start(KEYS="files:keys")
    (warning,) = served.told("keys", "show")["warnings"]
    assert "signs for 40.0 days, longer than KEY_ACTIVE_FOR" in warning


def test_without_a_server_the_command_does_the_same_with_the_folder_for_itself(start) -> None:
    served = start(**PUBLISHED_SOON)
    token = served.token().json()["access_token"]
    (kid,) = by_state(served)["active"]
    assert served.stop() == 0
    told = served.told("keys", "revoke", kid, "--confirm", kid)
    assert told["live_tokens"] == 1
    again = start(**PUBLISHED_SOON)
    assert published(again)[0] == told["signs"]
    assert not introspected(again, token)
    deed = next(event for event in again.events() if event["type"] == "key.revoked")
    assert deed["actor"] == f"operator|{os.geteuid()}"


def test_a_folder_without_an_installation_stays_empty_when_it_is_looked_at(start, tmp_path) -> None:
    served = start()
    elsewhere = tmp_path / "elsewhere" / "watchword.db"
    done = served.command("keys", "show", DATABASE=str(elsewhere), ADMIN_SOCKET=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "found nothing at" in done.stderr
    assert not elsewhere.parent.exists()


def test_a_server_that_is_not_at_its_socket_is_named(start) -> None:
    served = start()
    done = served.command("keys", "show", ADMIN_SOCKET=str(served.folder / "another.sock"))
    assert done.returncode == 1
    for expected in (f"process {served.process.pid} holds", "another.sock", "WATCHWORD_ADMIN_SOCKET"):
        assert expected in done.stderr


def test_a_server_that_does_not_answer_is_not_taken_for_one_that_refuses(start) -> None:
    served = start()
    served.process.send_signal(signal.SIGSTOP)
    try:
        # the same call with a second's patience instead of a minute's
        code = (
            "from pathlib import Path; from watchword.app import admin_client\n"
            "admin_client._SECONDS = 1.0\n"
            "admin_client.perform_at(Path('watchword-data/admin.sock'), 'keys.show', b'{}')"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=served.folder, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
    finally:
        served.process.send_signal(signal.SIGCONT)
    assert "OperatorUnreachable" in done.stderr
    assert "nobody knows whether it was done" in done.stderr


def test_a_key_whose_name_begins_with_a_dash_is_no_option(start) -> None:
    served = start()
    for kid in ("-hv1".ljust(43, "x"), "--json".ljust(43, "x")):
        refused = served.told("keys", "retire", kid, "--confirm", kid, exit_code=1)
        assert refused["code"] == "token_key_unknown"

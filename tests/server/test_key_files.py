"""`watchword keys export | import | reseal | remove | new-seal`, beside a running server and without one."""

import json
import os
import sqlite3
import stat

import pytest

from watchword.tokens.private_key import PrivateKey

PUBLISHED_SOON = {"KEY_CACHED_FOR": "0s", "CLOCK_SKEW": "0s"}


def told_of(served) -> list[tuple[str, str, str]]:
    return [(event["type"], event["actor"], event["kid"]) for event in served.events()]


def published(served) -> list[str]:
    return [key["kid"] for key in served.request("GET", "/.well-known/jwks.json").json()["keys"]]


@pytest.mark.threat(163)
def test_keys_leave_sealed_and_come_prepared(start, tmp_path) -> None:
    served = start()
    signing, reserve = published(served)
    told = served.told("keys", "export", "--out", "travelling", "--key-out", "its.key")
    assert told["kids"] == [signing, reserve]
    for name in ("travelling", "its.key"):
        assert stat.S_IMODE((served.folder / name).stat().st_mode) == 0o600
    assert ("key.exported", f"operator|{os.getuid()}", signing) in told_of(served)
    assert served.stop() == 0
    (served.folder / "watchword-data").rename(served.folder / "elsewhere")

    other = start()
    told = other.told("keys", "import", "travelling", "--key", "its.key")
    assert told["kids"] == [signing, reserve]
    own, *others = published(other)
    assert own not in (signing, reserve)
    assert set(others) > {signing, reserve}
    states = {key["kid"]: key["state"] for key in other.told("keys", "show")["keys"]}
    assert states[signing] == states[reserve] == "prepared"
    assert ("key.prepared", f"operator|{os.getuid()}", signing) in told_of(other)


def test_a_key_of_ones_own_is_imported_and_can_sign(start) -> None:
    served = start(**PUBLISHED_SOON)
    key = PrivateKey.generate("EdDSA")
    (served.folder / "own.pem").write_bytes(key.insecure_private_pem())
    assert served.told("keys", "import", "own.pem")["kids"] == [key.kid]
    assert served.told("keys", "activate", key.kid)["signs"] == key.kid
    assert served.token().status == 200
    assert published(served)[0] == key.kid


def test_what_must_not_be_imported_is_refused_and_nothing_changes(start) -> None:
    served = start()
    before = published(served)
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }
    (served.folder / "sample.jwk").write_text(json.dumps(jwk))
    told = served.command("keys", "import", "sample.jwk")
    assert told.returncode == 1
    assert "this is the sample key of RFC 8037 A.1: everybody has it" in told.stderr
    served.told("keys", "export", "--out", "travelling", "--key-out", "its.key")
    told = served.command("keys", "import", "travelling")
    assert told.returncode == 2
    assert "--key" in told.stderr
    told = served.command("keys", "import", "travelling", "--key", "its.key")
    assert told.returncode == 1
    assert "already; nothing was imported" in told.stderr
    assert published(served) == before
    told = served.command("keys", "export", "--out", "travelling", "--key-out", "new.key")
    assert told.returncode == 2
    assert not (served.folder / "new.key").exists()


@pytest.mark.threat(153)
def test_the_sealing_key_is_changed_by_hand_and_the_old_one_opens_nothing_then(start) -> None:
    served = start()
    before = published(served)
    assert served.stop() == 0
    made = served.told("keys", "new-seal", "--out", "second.key")
    assert stat.S_IMODE((served.folder / "second.key").stat().st_mode) == 0o600
    both = "file:second.key,file:watchword-data/sealing.key"
    served = start(SEAL=both)
    assert served.told("keys", "reseal")["sealing_key"] == made["sealing_key"]
    assert served.token().status == 200
    assert served.stop() == 0
    told = served.command("keys", "show", SEAL="file:watchword-data/sealing.key")
    assert told.returncode == 1
    assert made["sealing_key"] in told.stderr
    served = start(SEAL="file:second.key")
    assert published(served) == before


@pytest.mark.threat(150)
def test_a_record_that_cannot_be_opened_is_told_everywhere_and_can_be_let_go_of(start) -> None:
    served = start(**PUBLISHED_SOON)
    signing = published(served)[0]
    assert served.stop() == 0
    with sqlite3.connect(served.folder / "watchword-data" / "watchword.db") as database:
        database.execute("UPDATE keyring_record SET record = zeroblob(300) WHERE kid = ?", (signing,))
    served = start(**PUBLISHED_SOON)
    assert signing not in published(served)  # the reserve took over
    assert served.token().status == 200
    assert any(signing in line["event"] for line in served.log() if line["level"] == "error")
    (warning,) = [text for text in served.told("keys", "show")["warnings"] if signing in text]
    assert f"watchword keys remove {signing}" in warning
    told = served.command("doctor")
    assert f"FAIL keys         {signing} cannot be used" in told.stdout
    assert served.command("keys", "remove", signing).returncode != 0
    served.told("keys", "remove", signing, "--confirm", signing)
    assert not any(signing in text for text in served.told("keys", "show")["warnings"])

"""`watchword doctor`: tells what is wrong and what to do, and changes nothing."""

import json
import os
import subprocess
import sys

import pytest

from watchword.cli import main
from watchword.keys.issuer import Issuer
from watchword.keystores import open_key_store

NOBODY_LISTENS = "http://127.0.0.1:1"


@pytest.fixture
def ask(monkeypatch, tmp_path, capsys):
    for name in list(os.environ):
        if name.startswith("WATCHWORD_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)

    def run(**settings: str):
        for name, value in settings.items():
            monkeypatch.setenv(f"WATCHWORD_{name}", value)
        code = main(["doctor", "--json"])
        findings = json.loads(capsys.readouterr().out)["findings"]
        return code, {(finding["about"], finding["status"]): finding["text"] for finding in findings}

    return run


def test_an_empty_folder_with_an_issuer_is_fine_and_stays_empty(ask, tmp_path):
    code, found = ask(ISSUER=NOBODY_LISTENS)
    assert code == 0
    assert {about for about, status in found if status == "OK"} == {
        "clock",
        "settings",
        "data folder",
        "keys",
    }
    assert "is the server running?" in found["issuer", "WARN"]
    assert "denied" in found["trust", "WARN"]
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_told(ask):
    code, found = ask(LISTEN="x")
    assert code == 1
    assert ("settings", "FAIL") in found


def test_a_folder_that_others_can_open_comes_with_the_command_that_mends_it(ask, tmp_path):
    (tmp_path / "watchword-data").mkdir(mode=0o755)
    (tmp_path / "watchword-data").chmod(0o755)
    code, found = ask(ISSUER=NOBODY_LISTENS)
    assert code == 1
    assert "chmod 700" in found["data folder", "FAIL"]


def test_keys_are_loaded_and_unsafe_ones_are_told(ask, tmp_path):
    place = tmp_path / "watchword-data" / "keys"
    before = os.umask(0o077)
    issuer = Issuer(NOBODY_LISTENS, open_key_store(f"files:{place}"))
    os.umask(before)
    code, found = ask(ISSUER=NOBODY_LISTENS)
    assert code == 0
    assert issuer.keyring.active.kid in found["keys", "OK"]
    place.chmod(0o755)
    code, found = ask(ISSUER=NOBODY_LISTENS)
    assert code == 1
    assert ("keys", "FAIL") in found


def test_sealed_keys_in_the_database_are_opened_and_nothing_is_written_beside_it(ask, tmp_path):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("WATCHWORD_")}
    subprocess.run(
        [sys.executable, "-m", "watchword", "keys", "prepare"],
        cwd=tmp_path,
        env=environ | {"WATCHWORD_ISSUER": NOBODY_LISTENS},
        capture_output=True,
        timeout=60,
        check=True,
    )
    data = tmp_path / "watchword-data"
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    code, found = ask(ISSUER=NOBODY_LISTENS)
    assert code == 0
    assert "2 in database:" in found["keys", "OK"]
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    (data / "sealing.key").rename(tmp_path / "kept")
    code, found = ask(ISSUER=NOBODY_LISTENS)
    assert code == 1
    assert "sealing.key is missing" in found["keys", "FAIL"]
    assert not (data / "sealing.key").exists()


def test_a_trust_document_is_read(ask, tmp_path):
    (tmp_path / "trust.toml").write_text("version = 1\n")
    assert ("trust", "OK") in ask(ISSUER=NOBODY_LISTENS, TRUST="trust.toml")[1]
    (tmp_path / "trust.toml").write_text("version = 1\ncolour = 1\n")
    code, found = ask(ISSUER=NOBODY_LISTENS, TRUST="trust.toml")
    assert code == 1
    assert "colour" in found["trust", "FAIL"]


def test_a_running_server_is_found_under_its_issuer(ask, tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        issuer = f"http://127.0.0.1:{free.getsockname()[1]}"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("WATCHWORD_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "watchword", "serve"],
        cwd=tmp_path,
        env=environ | {"WATCHWORD_ISSUER": issuer},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout.readline()
        code, found = ask(ISSUER=issuer)
        assert code == 0
        assert "own metadata" in found["issuer", "OK"]
        assert ("keys", "OK") in found
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_people_get_one_line_per_finding(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHWORD_ISSUER", NOBODY_LISTENS)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} <= {"OK", "WARN", "FAIL"}


@pytest.mark.threat(200)
def test_an_audit_log_that_would_stop_everything_is_told_before(ask, tmp_path):
    code, found = ask(ISSUER=NOBODY_LISTENS, AUDIT_LOG="audit.jsonl")
    assert (code, found["audit log", "OK"]) == (0, f"{tmp_path / 'audit.jsonl'} can be written")
    assert not (tmp_path / "audit.jsonl").exists()
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    code, found = ask(ISSUER=NOBODY_LISTENS, AUDIT_LOG="audit.jsonl")
    assert code == 1
    assert "a link" in found["audit log", "FAIL"]

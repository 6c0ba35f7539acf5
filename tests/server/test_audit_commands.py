"""`watchword audit` beside a running server, and what is durable when the server is killed."""

import contextlib
import io
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from unittest import mock

import pytest

from watchword.audit.checkpoint import verified
from watchword.cli import main
from watchword.tokens.jwk_set import JWKSet


def audit(served, *arguments, exit_code=0, **settings):
    """Run `watchword audit …` here as if in the folder of the server; return what it says."""
    environ = served.environ | {f"WATCHWORD_{name}": value for name, value in settings.items()}
    out, umask = io.StringIO(), os.umask(0o022)
    try:
        with (
            mock.patch.dict(os.environ, environ, clear=True),
            contextlib.chdir(served.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            assert main(["audit", *arguments]) == exit_code, out.getvalue()
    finally:
        os.umask(umask)
    return out.getvalue()


def change(served, *statements):
    with closing(sqlite3.connect(served.folder / "watchword-data" / "watchword.db")) as database, database:
        for statement in statements:
            database.execute(statement)


def test_the_last_events_are_told_in_words_and_for_programs(start):
    served = start()
    assert served.token().status == 200
    assert served.token(audience="nowhere").status == 400
    told = audit(served, "tail")
    assert [line.split()[4] for line in told.splitlines()][-2:] == ["token.issued", "token.refused"]
    assert "posts -> users" in told
    assert "invalid_target" in told
    lines = [json.loads(line) for line in audit(served, "tail", "-n", "2", "--json").splitlines()]
    assert [line["type"] for line in lines] == ["token.issued", "token.refused"]
    story = lines[0]["txn"]
    assert [
        json.loads(line)["txn"] for line in audit(served, "tail", "--txn", story, "--json").splitlines()
    ] == [story]
    only = audit(served, "tail", "--type", "token.refused", "--type", "trust.applied", "--json").splitlines()
    assert [json.loads(line)["type"] for line in only] == ["trust.applied", "token.refused"]
    assert audit(served, "tail", "-n", "0") == ""


def test_whoever_follows_is_told_what_happens_from_now_on(start):
    served = start()
    following = subprocess.Popen(
        [sys.executable, "-m", "watchword", "audit", "tail", "-n", "1", "--follow", "--json"],
        cwd=served.folder, env=served.environ | {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())
        for _ in range(2):
            assert served.token().status == 200
            assert json.loads(following.stdout.readline())["type"] == "token.issued"
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0
    finally:
        following.kill()
        following.stdout.close()


@pytest.mark.threat(161, 198, 202, 206)
def test_an_auditor_verifies_with_an_export_a_checkpoint_and_a_public_key(start, tmp_path):
    served = start()
    tokens = [served.token().json()["access_token"] for _ in range(3)]
    audit(served, "key", "--out", str(tmp_path / "key.json"))
    audit(served, "checkpoint", "--out", str(tmp_path / "kept.txt"))
    audit(served, "export", "--out", str(tmp_path / "a.jsonl"))
    number = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[-1])["sequence"]
    assert served.token().status == 200
    audit(served, "export", "--after", str(number), "--out", str(tmp_path / "b.jsonl"))
    for name in ("key.json", "kept.txt", "a.jsonl", "b.jsonl"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    written = (tmp_path / "a.jsonl").read_text()
    for token in tokens:
        assert token.split(".")[1] not in written
        assert token.split(".")[2] not in written

    def verify(*arguments, exit_code=0):
        # nothing of the installation is at hand: no settings, no database, no server
        return json.loads(
            audit(
                served, "verify", *arguments, "--key", str(tmp_path / "key.json"), "--json",
                exit_code=exit_code, ISSUER="not a url", DATABASE="/nowhere/w.db",
            )
        )  # fmt: skip

    files = [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]
    kept = ("--checkpoint", str(tmp_path / "kept.txt"))
    report = verify(*files, *kept)
    assert (report["ok"], report["last"]) == (True, number + 1)
    assert not verify(files[1], *kept, exit_code=1)["ok"]
    assert verify(files[1], "--after", str(number))["ok"]
    (tmp_path / "a.jsonl").write_text("".join(written.splitlines(keepends=True)[:-1]))
    assert not verify(files[0], exit_code=1)["ok"]  # the checkpoint is in the export too
    keys = JWKSet.from_json((tmp_path / "key.json").read_bytes())
    assert verified((tmp_path / "kept.txt").read_text().strip(), keys).sequence == number
    token_keys = served.request("GET", "/.well-known/jwks.json").json()["keys"]
    assert {key["kid"] for key in token_keys}.isdisjoint(key.kid for key in keys.keys)


@pytest.mark.threat(198)
def test_a_change_by_hand_is_found_while_the_server_runs_and_after_it_stopped(start, tmp_path):
    served = start()
    for _ in range(3):
        assert served.token().status == 200
    assert "whole" in audit(served, "verify")
    audit(served, "checkpoint", "--out", str(tmp_path / "kept.txt"))
    change(
        served,
        "UPDATE audit_event SET client = 'users' WHERE sequence = (SELECT max(sequence) FROM audit_event)",
    )
    assert "is not as it was written" in audit(served, "verify", exit_code=1)
    served.stop()
    told = json.loads(audit(served, "verify", "--json", exit_code=1))
    assert told["findings"][0]["kind"] == "changed"
    change(
        served,
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_event WHERE sequence = (SELECT max(sequence) FROM audit_event)",
        "UPDATE audit_chain SET events = events - 1, (sequence, hash) ="
        " (SELECT sequence, hash FROM audit_event ORDER BY sequence DESC LIMIT 1)",
    )
    assert json.loads(audit(served, "verify", "--json"))["ok"]
    assert "cut" in audit(served, "verify", "--checkpoint", str(tmp_path / "kept.txt"), exit_code=1)


def test_a_clean_stop_leaves_a_checkpoint_of_everything(start):
    served = start()
    assert served.token().status == 200
    served.stop()
    with closing(sqlite3.connect(served.folder / "watchword-data" / "watchword.db")) as database:
        (last,) = database.execute("SELECT max(sequence) FROM audit_event").fetchone()
        assert database.execute("SELECT max(sequence) FROM audit_checkpoint").fetchone() == (last,)
    assert json.loads(audit(served, "verify", "--json"))["statements"] >= 1


@pytest.mark.threat(198)
def test_a_tail_that_was_cut_off_while_no_server_ran_is_told_at_the_start(start):
    served = start()
    assert served.token().status == 200
    served.stop()
    last = served.events()[-1]["sequence"]
    change(served, f"DELETE FROM audit_event WHERE sequence = {last}")
    again = start()
    assert again.token().status == 200
    again.stop()
    (broken,) = [event for event in again.events() if event["type"] == "audit.broken"]
    assert f"event {last}" in broken["reason"]
    assert any("the audit was changed" in str(line) for line in again.log())
    assert json.loads(audit(again, "verify", "--json", exit_code=1))["found"] > 0


@pytest.mark.threat(205)
def test_several_workers_write_several_chains_that_one_verification_covers(start):
    served = start(WORKERS="2")
    replies = [served.token() for _ in range(30)]
    assert {reply.status for reply in replies} == {200}
    report = json.loads(audit(served, "verify", "--json"))
    assert report["ok"]
    served.stop()
    again = json.loads(audit(served, "verify", "--json"))
    assert again["ok"]
    writers = {event["writer"] for event in served.events() if event["type"] == "token.issued"}
    assert writers < {chain["writer"] for chain in again["chains"]}  # the keeper wrote, too
    assert sum(chain["events"] for chain in again["chains"]) == len(served.events())


@pytest.mark.threat(201)
def test_nothing_that_comes_in_breaks_a_line_of_the_audit(start, tmp_path):
    served = start()
    hostile = 'x\n{}\x1b[31m\u202e\x00\u2028\x7f"' + "y" * 5_000
    for form in (
        {"grant_type": hostile},
        {"grant_type": "client_credentials", "audience": hostile},
        {"grant_type": "client_credentials", "audience": "users", "scope": hostile},
    ):
        reply = served.request("POST", "/token", form=form, Authorization=served.basic("posts"))
        assert reply.status == 400
    audit(served, "export", "--out", str(tmp_path / "a.jsonl"))
    lines = (tmp_path / "a.jsonl").read_bytes().split(b"\n")
    assert all(0x20 <= byte < 0x7F for line in lines for byte in line)
    refused = [json.loads(line) for line in lines if b"token.refused" in line]
    assert len(refused) == 3
    assert all(len(line["reason"]) <= 1_024 for line in refused)
    told = audit(served, "tail", "-n", "3")
    assert told.count("\n") == 3
    assert told.replace("\n", "").isprintable()
    assert json.loads(audit(served, "verify", "--json"))["ok"]


def test_what_is_no_audit_is_named(start, tmp_path):
    served = start()
    for wrong, text in (
        (tmp_path / "nothing.db", "found nothing"),
        (tmp_path / "other.db", "start the server once"),
    ):
        if wrong.name == "other.db":
            sqlite3.connect(wrong).close()
            wrong.write_bytes(b"")
        assert text in audit(served, "tail", "--database", str(wrong), exit_code=1)
    (tmp_path / "kept.txt").write_text("x.y.z\n")
    said = audit(served, "verify", "--checkpoint", str(tmp_path / "kept.txt"), exit_code=1)
    assert "signed by the audit key" in said


@pytest.mark.threat(199)
def test_what_was_answered_is_in_the_audit_after_kill_9(start):
    served = start()
    made = [served.operation("keys.prepare")["kid"]]
    tokens = [served.token() for _ in range(5)]
    introspected = served.request(
        "POST",
        "/introspect",
        form={"token": tokens[-1].json()["access_token"]},
        Authorization=served.basic("users"),
    )
    refused = served.token(audience="nowhere")
    made.append(served.operation("keys.prepare")["kid"])
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait(20)
    events = served.events()
    answered = [reply.headers["x-request-id"] for reply in (*tokens, introspected, refused)]
    assert [event["request_id"] for event in events if event["request_id"]] == answered
    prepared = [event["kid"] for event in events if event["type"] == "key.prepared"]
    assert set(made) <= set(prepared)
    assert events[-1]["kid"] == made[-1]
    assert json.loads(audit(served, "verify", "--json"))["ok"]
    again = start()
    assert again.token().status == 200
    assert [event["request_id"] for event in again.events() if event["request_id"]][:-1] == answered
    assert json.loads(audit(again, "verify", "--json"))["ok"]

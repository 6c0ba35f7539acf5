"""`watchword trust`, as a person or a program runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchword.cli import main

TRUST = """
version = 1

[services.users]
audience = "users"
url      = "http://127.0.0.1:5001"
scopes   = ["users:read", "users:write"]
jwks     = { keys = [] }

[[services.users.allow]]
caller           = "posts"
scopes           = ["users:read"]
when_subject_has = ["posts:read"]
on_behalf_of     = "person"
max_chain        = 1

[services.posts]
audience      = "posts-api"
scopes        = ["posts:read"]
secret_sha256 = ["5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "trust.toml"
    path.write_text(TRUST)
    return str(path)


def test_check_counts_what_it_read(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", "check", file]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("trust.toml holds no mistake: 2 services, 1 rule, 0 issuers, digest ")
    assert err == ""


def test_check_in_json_has_the_digest_and_the_warnings(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(TRUST.replace('when_subject_has = ["posts:read"]', ""))
    assert main(["trust", "check", file, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is True
    assert len(answer["digest"]) == 64
    assert (answer["services"], answer["rules"], answer["issuers"]) == (2, 1, 0)
    assert answer["warnings"][0].startswith("services.users.allow[0]: it can never yield a scope")


def test_check_shows_warnings_and_still_says_yes(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(file).write_text(TRUST.replace('when_subject_has = ["posts:read"]', ""))
    assert main(["trust", "check", file]) == 0
    assert "warning: services.users.allow[0]: it can never yield a scope" in capsys.readouterr().out


@pytest.mark.threat(246)
def test_check_tells_every_mistake_on_stderr_and_exits_2(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(file).write_text(
        TRUST.replace('"posts"', '"post"').replace("version = 1", "version = 2\nsecret = 'hunter2'")
    )
    assert main(["trust", "check", file]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 3
    for place in ("secret: unknown key", "version: expected 1", "services.users.allow[0].caller: expected"):
        assert f"watchword: {place}" in err
    assert "hunter2" not in err


def test_check_of_a_missing_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trust", "check", str(tmp_path / "nowhere.toml"), "--json"]) == 2
    out, err = capsys.readouterr()
    assert "nowhere.toml: expected a readable file" in err
    assert json.loads(out)["code"] == "trust_document_invalid"


def test_explain_of_an_allowed_call_says_what_it_gives_and_why(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trust", "explain", file, "--caller", "posts", "--callee", "users"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:3] == [
        "allowed: posts calls users on behalf of a person",
        "  allowed by services.users.allow[0]; the subject token does not hold users:read: "
        "derived by when_subject_has",
        "  assumed: the subject token holds posts:read; --subject-scope says otherwise",
    ]
    assert "  lifetime  2m at most\n  chain     1 of at most 1\n  actor     posts\n" in out
    assert out.endswith("To turn it:\n  to deny it take out services.users.allow[0]\n")


def test_explain_of_a_denied_call_exits_1_and_writes_out_the_change(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--caller", "posts", "--callee", "http://127.0.0.1:5001/", "--kind", "service"]
    assert main(["trust", "explain", file, *arguments]) == 1
    out = capsys.readouterr().out
    assert out.startswith("denied (invalid_target): posts calls users in its own name\n")
    assert "services.users.allow[0] is for a person (on_behalf_of), not for a service\n" in out
    assert '  [[services.users.allow]]\n  caller = "posts"\n  scopes = ["users:read"]\n' in out


@pytest.mark.threat(119)
def test_explain_takes_a_chain_by_the_names_of_services(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["trust", "explain", file, "--caller", "posts", "--callee", "users", "--json"]
    assert main([*arguments, "--actors", "web"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["error"], answer["decision"]) == (False, "invalid_request", None)
    assert answer["edits"] == [
        {"action": "set", "place": "services.users.allow[0]", "lines": ["max_chain = 2"]}
    ]
    assert main([*arguments, "--actors", "service|posts"]) == 1
    assert json.loads(capsys.readouterr().out)["edits"] == []


def test_explain_in_json_has_the_whole_decision(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--caller", "posts", "--callee", "users", "--scope", "users:read users:write", "--json"]
    assert (
        main(["trust", "explain", file, *arguments, "--subject-scope", "posts:read", "--subject-scope", "x"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["decision"] == {
        "scope": ["users:read"],
        "derived": ["users:read"],
        "lifetime": 120,
        "act_as": "actor",
        "max_chain": 1,
        "rules": ["services.users.allow[0]"],
    }


def test_explain_believes_that_a_token_holds_nothing_if_told_so(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["trust", "explain", file, "--caller", "posts", "--callee", "users", "--subject-scope", ""]) == 1
    )
    out = capsys.readouterr().out
    assert out.startswith("denied (invalid_scope)")
    assert "this one lacks posts:read" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["--caller", "post", "--callee", "users"],
            "--caller: expected a service of this document, found another name, did you mean posts?",
        ),
        (
            ["--caller", "posts", "--callee", "usrs"],
            "--callee: expected a service of this document, found another name, did you mean users?",
        ),
        (
            ["--caller", "posts", "--callee", "users", "--scope", "a  b"],
            "--scope: expected scopes separated by single blanks",
        ),
        (
            ["--caller", "posts", "--callee", "users", "--kind", "service", "--actors", "web"],
            "--actors: a service in its own name has no chain",
        ),
        (["--caller", "posts"], "Missing option '--callee'"),
    ],
)
def test_a_question_that_means_nothing_is_a_usage_error(
    file: str, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert main(["trust", "explain", file, *arguments]) == 2
    assert told in capsys.readouterr().err


def test_the_command_runs_as_a_process(file: str) -> None:
    command = [Path(sys.executable).with_name("watchword"), "trust", "check", file]
    ran = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=os.environ.copy()
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("trust.toml holds no mistake")

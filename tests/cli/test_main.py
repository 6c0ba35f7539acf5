"""The command as a whole: help, versions, exit codes, and errors that are never a trace."""

import json
import subprocess
import sys

import pytest

from watchword.cli import main
from watchword.cli.group import COMMANDS


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_every_command_can_be_asked_for_help(arguments, capsys):
    assert main(arguments) == 0
    assert "Usage: watchword" in capsys.readouterr().out


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=30
    )


def test_it_runs_as_a_module_and_tells_its_version():
    done = ran("-m", "watchword", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("watchword 0.")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["token", "verify"], ["serve", "--port", "1"], ["clients"]]
)
def test_a_wrong_call_is_2_and_one_clear_line(arguments, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(("watchword: ", "Usage: "))
    assert "Traceback" not in err


def test_a_wrong_call_can_be_read_by_programs(capsys):
    assert main(["token", "verify", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_the_unexpected_is_one_line_and_a_trace_only_on_request(monkeypatch, capsys):
    from watchword.cli import clients

    def broken(_):
        raise RuntimeError("\x1b[31mboom")

    monkeypatch.setattr(clients, "_demand_name", broken)
    arguments = ["clients", "new-secret", "--client-id", "a", "--out", "b"]
    monkeypatch.delenv("WATCHWORD_DEBUG", raising=False)
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("watchword: unexpected RuntimeError; please report it")
    assert err.count("\n") == 1
    monkeypatch.setenv("WATCHWORD_DEBUG", "1")
    assert main(arguments) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("missing", "arguments"), [("click", ["--help"]), ("uvicorn", ["serve"]), ("uvloop", ["serve"])]
)
def test_without_the_extra_it_says_which_one_to_install(missing, arguments):
    code = f"import sys; sys.modules[{missing!r}] = None\nfrom watchword.cli import main\n"
    code += f"sys.exit(main({arguments!r}))"
    done = ran("-c", code)
    assert done.returncode == 2
    assert "pip install 'watchword[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_goes_away_is_no_error_with_a_trace():
    code = "from watchword.cli import main; import os, sys; os.close(1); sys.exit(main(['--help']))"
    done = ran("-c", code)
    assert "Traceback" not in done.stderr

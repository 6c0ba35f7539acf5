"""The plugin in projects of others: found by pytest itself, free of charge, with xdist and time-machine."""

import sys
from pathlib import Path

import pytest

from watchword.testing import Forgery

pytest_plugins = ["pytester"]

PROJECT = """
import socket
import threading

import pytest
from flask import Flask
from watchword.flask import Watchword

app = Flask(__name__)
auth = Watchword(app, issuer="https://login.example", audience="posts", environ={})


@app.get("/posts")
@auth.require("posts:read")
def posts():
    return auth.token.subject.id


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("a test without network asks for one")

    for name in ("connect", "connect_ex", "bind", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", [f"person_{n}" for n in range(12)])
def test_a_client_of_ones_own(watchword_issuer, name):
    watchword_issuer.install(auth)
    client = watchword_issuer.client(app, name, scope="posts:read")
    assert client.get("/posts").text == name
"""
TRAVEL = """
import datetime

import pytest
import time_machine

SUMMER = datetime.datetime(2031, 7, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize("tick", [True, False])
def test_tokens_are_of_the_time_that_the_machine_travels_to(watchword_issuer, tick):
    watchword_issuer.install(auth)
    with time_machine.travel(SUMMER, tick=tick) as machine:
        client = watchword_issuer.client(app, scope="posts:read", lifetime=300)
        assert client.get("/posts").status_code == 200
        machine.shift(299)
        assert client.get("/posts").status_code == 200
        machine.shift(2)
        assert client.get("/posts").status_code == 401
        watchword_issuer.rotate()
        client = watchword_issuer.client(app, scope="posts:read")
        assert client.get("/posts").status_code == 200


@time_machine.travel(SUMMER, tick=False)
def test_the_clock_of_the_issuer_goes_on_from_there(watchword_issuer):
    assert watchword_issuer.clock.now() == SUMMER.timestamp()
    watchword_issuer.clock.advance(5)
    assert watchword_issuer.clock.now() == SUMMER.timestamp() + 5
"""


SUITE = """
from watchword.testing import ConformanceSuite


class TestPosts(ConformanceSuite):
    audience, scope = "posts", "posts:read"

    @pytest.fixture
    def no_network(self):
        pass  # the suite brings a callee on loopback

    @pytest.fixture
    def send(self, watchword_issuer, watchword_callee):
        watchword_issuer.install(auth)
        return watchword_issuer.calling(app, "/posts")
"""


def test_tests_and_suites_run_side_by_side_and_without_network(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # what else is installed here takes its time
    pytester.makepyfile(test_service=PROJECT + TRAVEL + SUITE)
    outcome = pytester.runpytest_subprocess(
        "-q",
        "-rs",
        "-p",
        "xdist.plugin",
        "-n",
        "2",
        "-p",
        "watchword.testing.plugin",
        "-p",
        "no:cacheprovider",
        timeout=90,
    )
    checks = len(Forgery) + 13
    outcome.assert_outcomes(passed=15 + checks, skipped=1)
    outcome.stdout.fnmatch_lines(["SKIPPED*called no service at the URL of watchword_callee*"])


def test_a_project_that_does_not_use_the_plugin_pays_for_three_small_files(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded(request):
            assert request.config.pluginmanager.has_plugin("watchword")
            ours = {name for name in sys.modules if name.partition(".")[0] == "watchword"}
            assert ours == {"watchword", "watchword.testing", "watchword.testing.plugin"}
            for library in ("flask", "fastapi", "starlette", "requests", "httpx", "msgspec", "cryptography"):
                assert library not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider", timeout=60).assert_outcomes(passed=1)


def test_the_plugin_itself_imports_pytest_and_what_pytest_has_loaded_already(
    pytester: pytest.Pytester,
) -> None:
    script = pytester.makepyfile(
        """
        import sys
        import pytest
        before = set(sys.modules)
        import watchword.testing.plugin
        print(*sorted(set(sys.modules) - before))
        """
    )
    loaded = pytester.run(sys.executable, Path(script), timeout=60)
    assert loaded.outlines == ["watchword watchword.testing watchword.testing.plugin"]

"""Strangers and our tokens: real processes on loopback, configured by what the how-to pages say."""

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest
from interop.asking import GUARD, Posts, Reply, ask, serving
from interop.authority import Authority
from interop.over_tls import OverTls
from interop.pages import Page
from interop.processes import Running, installed

from watchword.testing.forgery import Forgery

REQUIRE_ALL = os.environ.get("WATCHWORD_REQUIRE_ALL") == "1"

REFUSED = sorted(set(Forgery) - {Forgery.BOUND, Forgery.DEEP_ACT, Forgery.NOT_YET_VALID})
"""What every stranger must refuse; our tokens say no `nbf`, and `cnf` and long `act` are ours alone."""


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped although WATCHWORD_REQUIRE_ALL=1: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "forgery" in metafunc.fixturenames:
        metafunc.parametrize("forgery", REFUSED, ids=lambda kind: kind.name.lower())


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Page:
    name = request.module.PAGE
    return Page(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def running(page: Page) -> Iterator[Running]:
    running = Running(page.folder)
    yield running
    running.close()


@pytest.fixture(scope="module")
def authority(request: pytest.FixtureRequest, page: Page, running: Running) -> Authority:
    return Authority(page, running, getattr(request.module, "AUDIENCE", "posts"))


@pytest.fixture(scope="module")
def posts(page: Page) -> Iterator[None]:
    with serving(Posts, page.port(5002)):
        yield


@pytest.fixture(scope="module")
def over_tls(running: Running, authority: Authority) -> OverTls:
    return OverTls(running, authority)


@pytest.fixture(scope="session")
def ask_twice() -> Callable[..., int]:
    """Return the status of a request with several credentials."""

    def send(url: str, *tokens: str) -> int:
        with closing(HTTPConnection(url.removeprefix("http://"), timeout=GUARD)) as connection:
            connection.putrequest("GET", "/")
            for token in tokens:
                connection.putheader("Authorization", f"Bearer {token}")
            connection.endheaders()
            return connection.getresponse().status

    return send


@pytest.fixture(scope="session", name="ask")
def ask_fixture() -> Callable[..., Reply]:
    return ask


@pytest.fixture(scope="session", name="installed")
def installed_fixture() -> Callable[..., str]:
    return installed

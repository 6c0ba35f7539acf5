"""What every test shares: loud skips, and the folder of the public test vectors."""

import contextlib
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIRE_ALL = os.environ.get("WATCHWORD_REQUIRE_ALL") == "1"

# a shell lets what it runs in the background ignore Ctrl-C, `nohup` a hang-up, and so would every process
# that a test starts; a handler of our own is not handed on
for ignored, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, lambda *_: None)):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(ignored, handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


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


@pytest.fixture(scope="session")
def vectors() -> Path:
    """The folder with the Wycheproof vectors; they are data of another project and not copied here."""
    folder = Path(os.environ.get("WATCHWORD_VECTORS") or ROOT.parent / "shared" / "vectors" / "wycheproof")
    if not (folder / "jws.json").is_file():
        pytest.skip(f"no Wycheproof vectors in {folder}; name their folder in WATCHWORD_VECTORS")
    return folder

"""Prometheus gets a token for what it scrapes."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

PAGE = "prometheus"


@pytest.fixture(scope="module")
def targets(
    page: Any, running: Any, authority: Any, ask: Any, installed: Callable[[str], str]
) -> dict[str, dict[str, Any]]:
    """What Prometheus says of the job of the page, and of three that are wrong in one thing."""
    program = installed("prometheus")
    page.write("posts.py")
    for audience, port in (("posts", page.port(5002)), ("users", page.port(5003))):
        running.start(
            audience, sys.executable, "-m", "uvicorn", "posts:app", "--port", str(port),
            port=port, WATCHWORD_ISSUER=authority.url, WATCHWORD_AUDIENCE=audience,
        )  # fmt: skip
    (page.folder / "wrong.secret").write_text("x" * 43)
    head, separator, job = page.text("prometheus.yml", **{"15s": "1s"}).partition("  - job_name: posts\n")
    wrong = {
        "wrong-secret": ("prometheus.secret", "wrong.secret"),
        "no-rule": ("audience: posts", "audience: prometheus"),
        "other-service": (f":{page.port(5002)}", f":{page.port(5003)}"),
    }
    jobs = [head, separator, job]
    for name, (right, mistake) in wrong.items():
        assert right in job
        jobs += [separator.replace("posts", name), job.replace(right, mistake)]
    (page.folder / "prometheus.yml").write_text("".join(jobs))
    port = page.port(5004)
    running.start(
        "prometheus", program, "--config.file", "prometheus.yml", "--storage.tsdb.path", page.folder / "data",
        "--web.listen-address", f"127.0.0.1:{port}", port=port,
    )  # fmt: skip

    def scraped() -> dict[str, dict[str, Any]] | None:
        answer = ask(f"{page.url(5004)}/api/v1/targets")
        active = answer.json()["data"]["activeTargets"] if answer.status == 200 else []
        done = {target["scrapePool"]: target for target in active if target["health"] != "unknown"}
        return done if len(done) == 1 + len(wrong) else None

    return dict(running.wait_for("prometheus", scraped))


def test_it_scrapes_with_a_token(targets: Any, page: Any, ask: Any) -> None:
    assert (targets["posts"]["health"], targets["posts"]["lastError"]) == ("up", "")
    assert ask(f"{page.url(5002)}/metrics").status == 401


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("wrong-secret", "invalid_client"),
        ("no-rule", "invalid_target"),
        ("other-service", "401 Unauthorized"),
    ],
)
def test_it_scrapes_nothing_without_the_right_token(targets: Any, job: str, reason: str) -> None:
    assert targets[job]["health"] == "down"
    assert reason in targets[job]["lastError"]

"""A service whose audit log is full or blocked does nothing that the log could not tell of."""

import json
import time

import pytest

from watchword.app.audit_log import PATIENCE

pytestmark = pytest.mark.threat(200)

GUARD = 60.0


def ready(served, status):
    """Ask whether a token could be issued until the answer is this one."""
    end = time.monotonic() + GUARD
    while served.request("GET", "/health/ready").status != status:
        assert time.monotonic() < end


def lines(log):
    return [json.loads(line) for line in log.read_text("ascii").splitlines()]


def blocked(served):
    """Put a folder in the place of the log: it is full, as far as the server can tell."""
    log = served.folder / "audit.jsonl"
    log.rename(served.folder / "audit.jsonl.1")
    log.mkdir()
    return log


def silent(served):
    page = served.at_socket("/metrics", b"", method="GET", Content_Type="", Content_Length="").body.decode()
    (line,) = [line for line in page.splitlines() if line.startswith("watchword_audit_log_silent_seconds ")]
    return float(line.split()[1])


def prepare(served):
    return served.at_socket("/admin/keys/prepare", b"{}")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_without_a_log_nothing_is_issued_and_nothing_changed_and_then_it_goes_on(start, workers):
    served = start(AUDIT_LOG="audit.jsonl", WORKERS=workers)
    assert served.token().status == 200
    log = blocked(served)
    assert served.token().status == 200  # patience first
    ready(served, 503)
    assert silent(served) > PATIENCE
    reply = served.token()
    assert reply.status == 503
    assert reply.json()["error"] == "temporarily_unavailable"
    assert served.logged(reply.headers["x-request-id"])["code"] == "audit_log_unavailable"
    refused = prepare(served)
    assert refused.status == 503
    assert refused.json()["code"] == "audit_log_unavailable"
    assert served.request("GET", "/.well-known/jwks.json").status == 200
    log.rmdir()
    ready(served, 200)
    assert served.token().status == 200
    assert prepare(served).status == 200
    served.stop()
    written = lines(served.folder / "audit.jsonl.1") + lines(log)
    events = served.events()
    assert [line["sequence"] for line in written if "sequence" in line] == [e["sequence"] for e in events]
    assert [e["type"] for e in events if e["outcome"] == "refused"] == ["operation.refused"]
    assert written[-1].keys() == {"checkpoint"}


def test_an_owner_may_say_that_tokens_go_on_but_keys_wait(start):
    served = start(AUDIT_LOG="audit.jsonl", AUDIT_LOG_FULL="issue")
    log = blocked(served)
    end = time.monotonic() + GUARD
    while silent(served) <= PATIENCE:
        assert time.monotonic() < end
    assert served.request("GET", "/health/ready").status == 200
    assert served.token().status == 200
    assert prepare(served).status == 503
    log.rmdir()
    served.stop()
    assert [line for line in lines(log) if "type" in line][-1]["type"] == "operation.refused"


def test_the_log_may_be_the_standard_error_of_the_server(start):
    served = start(AUDIT_LOG="-")
    reply = served.token()
    served.stop()
    (event,) = [line for line in served.log() if line.get("type") == "token.issued"]
    assert event["request_id"] == reply.headers["x-request-id"]

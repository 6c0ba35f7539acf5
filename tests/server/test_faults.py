"""What breaks inside: the client gets an answer with a request id, the log gets the place."""

import asyncio
import json

import pytest

from watchword.errors import KeysUnavailable, NoActiveKey, StoreUnavailable
from watchword.server.application import Application
from watchword.server.routes import Route
from watchword.server.stop_sign import StopSign


def answered(error: Exception, kind: str):
    """The status, headers and body that an endpoint's exception becomes."""

    async def handler(_):
        raise error

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "raw_path": b"/x", "query_string": b"", "headers": []}
    application = Application({b"/x": Route("POST", handler, kind)}, StopSign())
    asyncio.run(application(scope, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), json.loads(sent[1]["body"])


@pytest.mark.parametrize("error", [StoreUnavailable("disk"), NoActiveKey("none"), KeysUnavailable("down")])
def test_what_is_our_fault_for_now_is_503_with_a_time_to_try_again(error):
    status, headers, body = answered(error, "oauth")
    assert (status, body) == (503, {"error": "temporarily_unavailable"})
    assert int(headers[b"retry-after"]) > 0
    assert headers[b"cache-control"] == b"no-store"
    status, headers, _ = answered(error, "problem")
    assert status == 503
    assert int(headers[b"retry-after"]) > 0


@pytest.mark.parametrize("kind", ["oauth", "problem"])
def test_what_nobody_foresaw_is_500_and_tells_nothing(kind, caplog):
    status, headers, body = answered(RuntimeError("s3cret"), kind)
    assert status == 500
    assert "s3cret" not in json.dumps(body)
    assert headers[b"x-request-id"]
    assert headers[b"cache-control"] == b"no-store"
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None


@pytest.mark.threat(171)
def test_without_a_database_that_can_be_written_it_is_not_ready_and_issues_nothing(start):
    served = start()
    assert served.request("GET", "/health/ready").status == 200
    database = served.folder / "watchword-data" / "watchword.db"
    import sqlite3

    other = sqlite3.connect(database, isolation_level=None)
    other.execute("DROP TABLE installation")
    other.execute("DROP TABLE audit_event")
    other.close()
    statuses = {served.request("GET", "/health/ready").status, served.token().status}
    while served.request("GET", "/health/ready").status == 200:  # a good answer counts for a second
        pass
    assert served.request("GET", "/health/ready").status == 503
    assert served.token().status == 503
    assert 503 in statuses
    assert served.request("GET", "/health/live").status == 200
    assert served.request("GET", "/.well-known/jwks.json").status == 200

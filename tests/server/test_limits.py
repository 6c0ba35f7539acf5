"""Limits on how often: strangers by their network, clients by themselves, nobody by what others claim."""

import contextlib
import json
import socket
import sqlite3

import pytest

from watchword.client.authentication import KeyAuthentication
from watchword.clock import SYSTEM_CLOCK
from watchword.tokens.private_key import PrivateKey

FORM = "application/x-www-form-urlencoded"
ASKING = {"grant_type": "client_credentials", "audience": "users"}
STRANGER = "127.0.0.2"


def raw(authorization: str, body: bytes = b"grant_type=client_credentials&audience=users") -> bytes:
    head = f"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Type: {FORM}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.contextmanager
def stranger(served):
    """A connection from another network than everybody else's."""
    with socket.create_connection(served.address, timeout=20, source_address=(STRANGER, 0)) as connection:
        yield connection


def test_a_client_that_asks_too_often_is_told_when_to_come_back(start):
    served = start(RATE_PER_CLIENT="0.01/3")
    assert [served.token().status for _ in range(3)] == [200] * 3
    answer = served.token()
    assert answer.status == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 100
    assert answer.json() == {"error": "temporarily_unavailable"}
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert served.logged(answer.headers["x-request-id"])["code"] == "too_many_requests"


@pytest.mark.threat(193)
def test_another_client_does_not_notice(start):
    served = start(RATE_PER_CLIENT="0.01/2")
    assert [served.token("posts").status for _ in range(4)] == [200, 200, 429, 429]
    form = {"token": "x"}
    assert served.request("POST", "/introspect", form=form, Authorization=served.basic("users")).status == 200


def test_both_endpoints_count_for_one_client(start):
    served = start(RATE_PER_CLIENT="0.01/2")
    for status in (200, 200, 429):
        asked = served.request(
            "POST", "/introspect", form={"token": "x"}, Authorization=served.basic("posts")
        )
        assert asked.status == status
    assert served.token("posts").status == 429


@pytest.mark.threat(193)
def test_a_stranger_who_names_a_client_takes_nothing_from_it(start):
    served = start(RATE_PER_CLIENT="0.01/2")
    for _ in range(20):
        answer = served.request("POST", "/token", form=ASKING, Authorization=served.basic("posts", "guess"))
        assert answer.status == 401
        posted = {"client_id": "posts", "client_secret": "guess"}
        assert served.request("POST", "/token", form=ASKING | posted).status == 401
    assert [served.token().status for _ in range(3)] == [200, 200, 429]


@pytest.mark.threat(193)
def test_whoever_repeats_a_clients_assertion_takes_nothing_from_it(start, tmp_path):
    key = PrivateKey.generate("ES256")
    (tmp_path / "keyed.toml").write_text(
        'version = 1\n[services.users]\naudience = "users"\nurl = "https://users.example"\n'
        'scopes = ["users:read"]\nsecret_sha256 = ["' + "0" * 64 + '"]\n'
        '[[services.users.allow]]\ncaller = "posts"\nscopes = ["users:read"]\non_behalf_of = "any"\n'
        '[services.posts]\naudience = "posts"\nurl = "https://posts.example"\njwks_file = "posts.json"\n'
    )
    jwk = dict(key.public_jwk()) | {"kid": key.kid, "alg": "ES256"}
    (tmp_path / "posts.json").write_text(json.dumps({"keys": [jwk]}))
    served = start(TRUST="keyed.toml", RATE_PER_CLIENT="0.01/3")
    client = KeyAuthentication("posts", key)

    def form() -> dict[str, str]:
        fields = []
        client.authenticate(fields, {}, issuer=served.issuer, now=SYSTEM_CLOCK.now())
        return ASKING | dict(fields)

    heard = form()
    assert served.request("POST", "/token", form=heard).status == 200
    for _ in range(20):
        assert served.request("POST", "/token", form=heard).json() == {"error": "invalid_client"}
    assert [served.request("POST", "/token", form=form()).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.threat(191)
def test_a_network_is_refused_before_its_request_is_read(start):
    served = start(RATE_PER_ADDRESS="0.01/1")
    assert served.token().status == 200
    # none of these bodies ever comes: whoever wanted to read one would wait for it
    for path in ("/token", "/introspect"):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\nContent-Length: 60000\r\n\r\n"
        answer = served.send(head.encode())
        assert answer.status == 429
        assert answer.json() == {"error": "temporarily_unavailable"}
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.threat(192)
def test_what_everybody_may_read_is_not_counted(start):
    served = start(RATE_PER_ADDRESS="0.01/1")
    for _ in range(5):
        for path in ("/.well-known/jwks.json", "/health/ready", "/public-key"):
            assert served.request("GET", path).status == 200
    assert served.token().status == 200


@pytest.mark.threat(196)
def test_no_header_names_another_address(start):
    served = start(RATE_PER_ADDRESS="0.01/2")
    statuses = []
    for number in range(6):
        name = f"198.51.100.{number}"
        forwarded = {"X_Forwarded_For": name, "Forwarded": f"for={name}", "X_Real_IP": name}
        statuses.append(served.token(**forwarded).status)
    assert statuses == [200, 200, 429, 429, 429, 429]


@pytest.mark.threat(243)
@pytest.mark.threat(188)
def test_a_flood_of_strangers_leaves_the_database_small_and_issuing_goes_on(start):
    served = start(RATE_PER_ADDRESS="20/50")
    database = served.folder / "watchword-data" / "watchword.db"
    request = raw(served.basic("posts", "guess"))
    with stranger(served) as flooding:
        statuses = []
        for number in range(60):
            flooding.sendall(request * 30)
            statuses += [served.read_reply(flooding).status for _ in range(30)]
            if number % 4 == 0:
                assert served.token().status == 200
    assert set(statuses) == {401, 429}
    assert statuses.count(429) > 1_000
    assert served.stop() == 0
    with contextlib.closing(sqlite3.connect(database)) as reading:
        events = dict(reading.execute("SELECT type, COUNT(*) FROM audit_event GROUP BY type").fetchall())
        refusals = dict(
            reading.execute("SELECT reason, SUM(refusals) FROM refusal GROUP BY reason").fetchall()
        )
        (samples,) = reading.execute("SELECT COUNT(*) FROM refusal_sample").fetchone()
    assert events["token.issued"] == 15
    assert "token.refused" not in events
    assert refusals == {
        "invalid_client": statuses.count(401),
        "too_many_requests": statuses.count(429),
    }
    assert samples <= 12  # three a minute and reason, and a minute may have ended in between
    assert database.stat().st_size < 1_000_000


def test_no_limit_can_be_asked_for(start):
    served = start(RATE_PER_CLIENT="0", RATE_PER_ADDRESS="0")
    request = raw(served.basic("posts"))
    with served.connect() as connection:
        for _ in range(12):
            connection.sendall(request * 100)
            assert {served.read_reply(connection).status for _ in range(100)} == {200}

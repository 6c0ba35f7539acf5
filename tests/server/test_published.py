"""What everybody may read: keys and metadata, with their names, ages and versions."""

import contextlib
import json
import socket
import sqlite3

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

JWKS, METADATA, PEM = "/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/public-key"


def test_the_metadata_tells_only_what_works(server):
    told = server.request("GET", METADATA).json()
    assert told["issuer"] == server.issuer
    assert told["response_types_supported"] == []
    assert told["grant_types_supported"] == [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ]
    for absent in (
        "revocation_endpoint",
        "authorization_endpoint",
        "registration_endpoint",
        "userinfo_endpoint",
    ):
        assert absent not in told
    for name, method in (("token_endpoint", "POST"), ("introspection_endpoint", "POST"), ("jwks_uri", "GET")):
        path = told[name].removeprefix(server.issuer)
        assert server.request(method, path).status in {200, 400, 401}


def test_the_key_set_holds_public_numbers_only(server):
    answer = server.request("GET", JWKS)
    assert answer.headers["content-type"] == "application/jwk-set+json"
    for key in answer.json()["keys"]:
        assert key.keys() == {"kty", "crv", "x", "y", "use", "kid", "alg"}


def test_a_key_can_be_had_as_pem_by_its_name(server):
    key = server.request("GET", JWKS).json()["keys"][0]  # the one that signs stands first
    named, default = server.request("GET", f"{PEM}?kid={key['kid']}"), server.request("GET", PEM)
    assert named.status == default.status == 200
    assert named.body == default.body
    assert load_pem_public_key(named.body).curve.name == "secp256r1"


def test_an_unknown_key_is_not_found(server):
    for kid in ("unknown", "", "../../etc/passwd", "%2e%2e", "%00", "%F0%9F%97%9D"):
        assert server.request("GET", f"{PEM}?kid={kid}").status == 404


def test_a_query_that_asks_for_anything_else_is_refused(server):
    for query in ("kid=a&kid=b", "key=a", "kid=a&format=der", "kid=%zz", "&".join(["kid=a"] * 100)):
        assert server.request("GET", f"{PEM}?{query}").status == 400


@pytest.mark.parametrize("path", [JWKS, METADATA, PEM])
def test_whoever_has_this_version_is_not_sent_it_again(server, path):
    first = server.request("GET", path)
    etag = first.headers["etag"]
    assert "max-age=" in first.headers["cache-control"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = server.request("GET", path, If_None_Match=known)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == etag
        assert again.headers["cache-control"] == first.headers["cache-control"]
    assert server.request("GET", path, If_None_Match='"other"').status == 200


@pytest.mark.threat(211)
@pytest.mark.parametrize("path", [JWKS, METADATA, PEM, "/health/live", "/health/ready", "/nothing"])
def test_head_says_what_get_says_without_the_body(server, path):
    get, head = server.request("GET", path), server.request("HEAD", path)
    drop = {"x-request-id", "date"}
    assert head.status == get.status
    assert {k: v for k, v in head.headers.items() if k not in drop} == {
        k: v for k, v in get.headers.items() if k not in drop
    }
    assert int(get.headers["content-length"]) == len(get.body)


@pytest.mark.threat(211)
@pytest.mark.parametrize("path", [JWKS, METADATA, PEM, "/health/live", "/health/ready"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_what_is_read_cannot_be_written(server, path, method):
    answer = server.request(method, path, X_HTTP_Method_Override="GET")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.threat(211)
@pytest.mark.parametrize(
    "path",
    ["/", "//token", "/token/", "/token//", "/./token", "/x/../token", "/%74oken", "/token%2f", "/token;x=1",
     "/token%00", "/..;/token", "/TOKEN", "/health/live/", "/health//live", "/health%2flive", "/public-key.",
     "/.well-known/jwks.json/", "/%2e/token", "/token%3Fa", "\\token", "/token\\"],
)  # fmt: skip
def test_an_address_is_matched_byte_for_byte(server, path):
    answer = server.send(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert answer.status in {404, 400}
    assert b"token" not in answer.body


@pytest.mark.threat(212)
@pytest.mark.parametrize("path", ["/token", "/introspect"])
def test_no_health_checker_is_let_in_by_its_name(server, path):
    for agent in ("kube-probe/1.30", "GoogleHC/1.0", "ELB-HealthChecker/2.0"):
        answer = server.request("POST", path, form={"a": "b"}, User_Agent=agent, X_Health_Check="1")
        assert answer.status == 401


def test_every_answer_has_a_request_id_of_our_own(server):
    answers = [server.request("GET", path, X_Request_Id="chosen-by-me") for path in (JWKS, "/nothing")]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert "chosen-by-me" not in ids
    assert {server.logged(request_id)["status"] for request_id in ids} == {200, 404}


def test_a_key_that_is_prepared_is_published_and_has_its_own_pem(tmp_path):
    import asyncio

    from watchword.keys.issuer import Issuer
    from watchword.keystores.memory import MemoryKeyStore
    from watchword.server.endpoints.published import Published
    from watchword.server.request import Request

    issuer = Issuer("https://tokens.example", MemoryKeyStore())
    published = Published(issuer, {})

    def get(endpoint, query=b""):
        request = Request({"query_string": query, "headers": []}, None, "id")
        return asyncio.run(endpoint(request))

    before = get(published.jwk_set)
    assert get(published.jwk_set) is before
    kid = issuer.prepare_key("RS256")
    after = get(published.jwk_set)
    assert [key["alg"] for key in json.loads(after.body)["keys"]] == ["ES256", "RS256"]
    assert dict(after.headers)[b"etag"] != dict(before.headers)[b"etag"]
    assert get(published.public_key).body != get(published.public_key, f"kid={kid}".encode()).body


READ = [JWKS, METADATA, PEM, "/health/live"]


@pytest.mark.threat(192)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_everybody_may_read_comes_from_memory_while_another_process_holds_the_database(start, workers):
    served = start(WORKERS=workers, RATE_PER_CLIENT="0", RATE_PER_ADDRESS="0")
    before = {path: served.request("GET", path).body for path in READ}
    database = served.folder / "watchword-data" / "watchword.db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        with served.connect() as waiting:
            body = b"grant_type=client_credentials&audience=users"
            head = f"POST /token HTTP/1.1\r\nHost: x\r\nAuthorization: {served.basic('posts')}\r\n"
            head += f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
            waiting.sendall(head.encode() + body)
            answered = 0
            waiting.setblocking(False)
            while True:  # for as long as the token waits, which is several seconds
                for path in READ:
                    answer = served.request("GET", path)
                    assert (answer.status, answer.body) == (200, before[path])
                    answered += 1
                try:
                    assert waiting.recv(1, socket.MSG_PEEK)
                    break
                except BlockingIOError:
                    continue
            waiting.settimeout(20)
            assert served.read_reply(waiting).status == 503
            assert answered > 20
            assert served.request("GET", "/health/ready").status == 503
        stranger.execute("COMMIT")
    assert served.token().status == 200


@pytest.mark.threat(192)
def test_no_request_waits_for_the_place_where_the_keys_live():

    from watchword.keys.issuer import RELOAD_SECONDS, Issuer
    from watchword.keystores.memory import MemoryKeyStore

    class Stuck(MemoryKeyStore):
        """A place that stops answering."""

        stuck = False
        looks = 0

        def load(self):
            self.looks += 1
            assert not self.stuck, "a request looked there"
            return super().load()

    class Hands:
        at = 1_790_000_000.0

        def now(self):
            return self.at

        def monotonic(self):
            return self.at

    store, clock = Stuck(), Hands()
    issuer = Issuer("https://tokens.example", store, clock=clock)
    issuer.look_only_when_told()
    store.stuck = True
    clock.at += 10 * RELOAD_SECONDS
    assert len(issuer.jwk_set().keys) == 1
    assert issuer.issue("somebody", "users")
    store.stuck = False
    Issuer("https://tokens.example", store, clock=clock).prepare_key()
    assert len(issuer.jwk_set().keys) == 1
    issuer.look()
    assert len(issuer.jwk_set().keys) == 2

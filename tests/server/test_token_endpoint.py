"""`POST /token` over HTTP: what goes in, what comes out, and what never comes out."""

import json

import pytest

from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verify import verify

FORM = "application/x-www-form-urlencoded"
# RFC 6749 §4.1.2.1 and §5.2, RFC 8693 §2.2.2
RFC_CODES = {
    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
    "invalid_scope", "invalid_target", "server_error", "temporarily_unavailable",
}  # fmt: skip


def test_a_token_from_the_endpoint_verifies_with_the_published_keys(server):
    answer = server.token()
    assert answer.status == 200
    told = answer.json()
    assert told.keys() == {"access_token", "token_type", "expires_in", "scope"}
    assert (told["token_type"], told["scope"]) == ("Bearer", "users:read")
    keys = JWKSet.from_json(server.request("GET", "/.well-known/jwks.json").body)
    policy = VerificationPolicy(server.issuer, "users", {"ES256"})
    import time

    verified = verify(told["access_token"], keys, policy, time.time() + 1)
    assert verified.subject.id == "service|posts"


def test_a_secret_may_come_in_the_form(server):
    form = {
        "grant_type": "client_credentials",
        "audience": "users",
        "client_id": "posts",
        "client_secret": server.secrets["posts"],
    }
    assert server.request("POST", "/token", form=form).status == 200


@pytest.mark.threat(99)
@pytest.mark.parametrize("path", ["/token", "/introspect"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_than_post_are_told_what_is_allowed(server, method, path):
    answer = server.request(method, path, Authorization=server.basic("posts"))
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.threat(99)
@pytest.mark.parametrize("path", ["/token", "/introspect"])
def test_parameters_in_the_query_are_refused_and_never_logged(server, path):
    answer = server.request(
        "POST", f"{path}?client_secret=s3cret-in-a-url", form={"grant_type": "client_credentials"}
    )
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})
    assert server.logged(answer.headers["x-request-id"])["path"] == path
    assert "s3cret-in-a-url" not in server.log_path.read_text()


@pytest.mark.threat(99)
@pytest.mark.parametrize("name", ["grant_type", "scope", "client_id", "client_secret", "subject_token"])
def test_a_repeated_parameter_is_refused(server, name):
    form = [("grant_type", "client_credentials"), ("audience", "users"), (name, "a"), (name, "a")]
    answer = server.request("POST", "/token", form=form, Authorization=server.basic("posts"))
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})


@pytest.mark.threat(99)
@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 415),
        ("multipart/form-data; boundary=x", 415),
        ("text/plain", 415),
        (f"{FORM}; charset=utf-16", 415),
        (f"{FORM}, application/json", 415),
        (f"{FORM}; charset=UTF-8", 200),
        (FORM.upper(), 200),
    ],
)
def test_only_a_form_in_utf_8_is_read(server, content_type, status):
    answer = server.token(Content_Type=content_type)
    assert answer.status == status


@pytest.mark.threat(99)
def test_a_body_without_content_type_is_refused(server):
    answer = server.request("POST", "/token", body=b"grant_type=client_credentials")
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})


def test_two_authorization_headers_are_refused(server):
    body = "grant_type=client_credentials&audience=users"
    for count, status in ((1, 200), (2, 400)):
        authorization = f"Authorization: {server.basic('posts')}\r\n" * count
        head = f"POST /token HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n{authorization}"
        answer = server.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        assert answer.status == status
    assert answer.json() == {"error": "invalid_request"}


@pytest.mark.parametrize("body", [b"grant_type=%zz", b"grant_type=%", b"grant_type=\xff\xfe", b"a=%c3%28"])
def test_a_form_that_two_readers_could_read_differently_is_refused(server, body):
    answer = server.request("POST", "/token", body=body, Content_Type=FORM)
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})


@pytest.mark.threat(190)
def test_a_form_of_ten_thousand_fields_is_refused(server):
    answer = server.request("POST", "/token", form=[(f"f{n}", "") for n in range(5_000)])
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})


@pytest.mark.threat(100)
def test_nothing_that_the_token_and_introspection_endpoints_say_may_be_stored(server):
    basic = server.basic("users")
    token = server.token().json()["access_token"]
    answers = [
        server.token(),
        server.token("users"),
        server.request("POST", "/introspect", form={"token": token}, Authorization=basic),
        server.request("POST", "/introspect", form={"token": "x"}, Authorization=basic),
        server.request("POST", "/introspect", form={"token": token}),
        server.request("POST", "/token"),
        server.request("GET", "/token"),
        server.request("GET", "/nothing"),
    ]
    assert {answer.status for answer in answers} == {200, 400, 401, 404, 405}
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"


def test_a_failed_authentication_names_the_scheme(server):
    answer = server.request("POST", "/token", form={"a": "b"}, Authorization=server.basic("posts", "wrong"))
    assert (answer.status, answer.json()) == (401, {"error": "invalid_client"})
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


HOSTILE = ["<script>alert(1)</script>", '"}\r\nSet-Cookie: a=b', "\x1b[31mred", "\u202eevil", "grant\x00"]


@pytest.mark.threat(130)
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["grant_type", "scope", "audience", "resource", "client_id"])
def test_an_error_reflects_nothing_of_the_input(server, name, text):
    form = {"grant_type": "client_credentials", "audience": "users"} | {name: text}
    answer = server.request("POST", "/token", form=form, Authorization=server.basic("posts"))
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.json().keys() == {"error"}
    assert answer.json()["error"] in RFC_CODES
    assert "set-cookie" not in answer.headers


@pytest.mark.threat(130)
def test_an_error_elsewhere_reflects_nothing_either(server):
    answer = server.request("GET", "/%3Cscript%3Ealert(1)%3C/script%3E?q=<script>")
    assert answer.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


@pytest.mark.threat(127)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.9"},
        {"X_Forwarded_Host": "evil.example"},
        {"Forwarded": 'for=203.0.113.9;host="evil.example";proto=http'},
        {"X-Original-URL": "/health/live", "X-HTTP-Method-Override": "GET", "X-Rewrite-URL": "/health/live"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_no_header_decides_who_we_are(server, headers):
    metadata = server.request("GET", "/.well-known/oauth-authorization-server", **headers)
    assert "evil" not in metadata.body.decode()
    assert metadata.json()["issuer"] == server.issuer
    answer = server.token(**headers)
    payload = answer.json()["access_token"].split(".")[1]
    import base64

    assert json.loads(base64.urlsafe_b64decode(payload + "=="))["iss"] == server.issuer
    assert server.logged(answer.headers["x-request-id"])["client"] == "127.0.0.1"


@pytest.mark.threat(105)
def test_introspection_is_for_the_service_that_the_token_is_meant_for(server):
    form = {"token": server.token().json()["access_token"]}
    meant = server.request("POST", "/introspect", form=form, Authorization=server.basic("users"))
    assert meant.json()["active"] is True
    assert meant.json()["sub"] == "service|posts"
    outsider = server.request("POST", "/introspect", form=form, Authorization=server.basic("posts"))
    assert (outsider.status, outsider.json()) == (200, {"active": False})


@pytest.mark.threat(105)
def test_introspection_demands_a_proof(server):
    form = {"token": server.token().json()["access_token"]}
    for more, headers in (
        ({}, {}),
        ({"client_id": "users"}, {}),
        ({}, {"Authorization": server.basic("users", "wrong")}),
        ({}, {"Authorization": f"Bearer {form['token']}"}),
    ):
        answer = server.request("POST", "/introspect", form=form | more, **headers)
        assert (answer.status, answer.json()) == (401, {"error": "invalid_client"})

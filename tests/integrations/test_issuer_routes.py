"""The routes of a service that signs its own tokens: the same answers in both frameworks, over real HTTP."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import jwt
import pytest
from fastapi import FastAPI
from flask import Flask

from watchword import Issuer
from watchword.fastapi import issuer_router
from watchword.flask import issuer_blueprint
from watchword.keystores.memory import MemoryKeyStore
from watchword.service import Watchword
from watchword.testing.serving import serving_asgi, serving_wsgi

ISSUER = "https://users.example"


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Site(NamedTuple):
    url: str
    issuer: Issuer

    def get(self, path: str, **headers: str) -> Answer:
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        told = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return told


@pytest.fixture(scope="module", params=["flask", "fastapi"])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    issuer = Issuer(ISSUER, MemoryKeyStore())
    with ExitStack() as stack:
        if request.param == "flask":
            flask_app = Flask(__name__)
            flask_app.register_blueprint(issuer_blueprint(issuer, max_age=60))
            url = stack.enter_context(serving_wsgi(flask_app))
        else:
            app = FastAPI()
            app.include_router(issuer_router(issuer, max_age=60))
            url = stack.enter_context(serving_asgi(app))
        yield Site(url, issuer)


def test_the_key_set_holds_public_numbers_only_and_may_be_cached(site: Site) -> None:
    answer = site.get("/.well-known/jwks.json")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("application/jwk-set+json")
    assert answer.headers["cache-control"] == "public, max-age=60"
    keys = json.loads(answer.body)["keys"]
    assert keys == site.issuer.jwk_set().to_dict()["keys"]
    assert not {"d", "p", "q", "k"} & set().union(*keys)


def test_the_metadata_names_the_issuer_and_its_key_set(site: Site) -> None:
    answer = site.get("/.well-known/oauth-authorization-server")
    assert answer.status == 200
    assert json.loads(answer.body)["issuer"] == ISSUER
    assert json.loads(answer.body)["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"


@pytest.mark.parametrize(
    "path", ["/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/public-key"]
)
def test_an_answer_that_is_still_right_is_not_sent_again(site: Site, path: str) -> None:
    etag = site.get(path).headers["etag"]
    known = site.get(path, **{"If-None-Match": etag})
    assert (known.status, known.body) == (304, b"")
    assert known.headers["etag"] == etag
    assert site.get(path, **{"If-None-Match": '"another"'}).status == 200


def test_public_key_is_pem_that_other_libraries_verify_with(site: Site) -> None:
    answer = site.get("/public-key")
    assert answer.body.startswith(b"-----BEGIN PUBLIC KEY-----")
    token = site.issuer.issue("john_doe", "posts")
    assert jwt.decode(token, answer.body, algorithms=["ES256"], audience="posts")["sub"] == "john_doe"


def test_public_key_by_kid_finds_old_keys_and_refuses_unknown_ones(site: Site) -> None:
    before = site.get("/public-key").body
    old = site.issuer.keyring.active.kid
    etag = site.get("/.well-known/jwks.json").headers["etag"]
    site.issuer.activate_key(site.issuer.prepare_key())
    assert site.get("/public-key").body != before
    assert site.get(f"/public-key?kid={old}").body == before
    assert site.get("/public-key?kid=unknown").status == 404
    assert site.get("/.well-known/jwks.json", **{"If-None-Match": etag}).status == 200


def test_a_service_that_trusts_this_issuer_finds_its_keys_by_itself() -> None:
    app = Flask(__name__)
    with serving_wsgi(app) as url:
        issuer = Issuer(url, MemoryKeyStore())
        app.register_blueprint(issuer_blueprint(issuer))
        service = Watchword(issuer=url, audience="posts", environ={})
        assert service.verify(issuer.issue("john_doe", "posts")).subject == (url, "john_doe")
        service.close()

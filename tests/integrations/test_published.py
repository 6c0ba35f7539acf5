"""Where protected resource metadata stands and what it says (RFC 9728)."""

import json

import pytest

from watchword.errors import ConfigurationError
from watchword.integrations.published import of_resource
from watchword.wsgi import Watchword


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ("https://posts.example", "https://posts.example/.well-known/oauth-protected-resource"),
        ("https://posts.example/", "https://posts.example/.well-known/oauth-protected-resource"),
        (
            "https://posts.example:8443/a/b",
            "https://posts.example:8443/.well-known/oauth-protected-resource/a/b",
        ),
        ("http://127.0.0.1:5002/a/", "http://127.0.0.1:5002/.well-known/oauth-protected-resource/a/"),
    ],
)
def test_the_well_known_path_stands_before_the_path_of_the_resource(resource: str, place: str) -> None:
    publication, url = of_resource(
        resource, authorization_servers=["https://issuer.example"], scopes=lambda: {"b", "a"}, max_age=60
    )
    assert url == place
    assert place.endswith(publication.path)
    answer = publication.answer()
    assert answer.headers["Cache-Control"] == "public, max-age=60"
    assert json.loads(answer.body) == {
        "resource": resource,
        "authorization_servers": ["https://issuer.example"],
        "scopes_supported": ["a", "b"],
        "bearer_methods_supported": ["header"],
    }
    assert publication.answer(f'"other", {answer.headers["ETag"]}').status == 304


@pytest.mark.parametrize(
    "resource",
    ["http://posts.example", "posts.example", "https://posts.example/?a=b", "https://posts.example/#a",
     "https://u:p@posts.example", "https://posts.example/<name>", "https://posts.example/{name}", ""],
)  # fmt: skip
def test_what_is_no_resource_identifier_is_refused_at_start(resource: str) -> None:
    with pytest.raises(ConfigurationError, match="publish_metadata"):
        of_resource(resource, authorization_servers=[], scopes=tuple, max_age=60)


def test_every_trusted_issuer_is_named_and_every_guard_counts_whenever_it_is_written() -> None:
    auth = Watchword(
        issuer="https://issuer.example",
        audience="posts",
        trusted_issuers={"staff": "https://staff.example"},
        environ={},
    )
    publication = auth.resource_metadata("https://posts.example", ["posts:all"], max_age=60)
    auth.require("posts:read", "posts:list")
    auth.optional("posts:draft")
    document = json.loads(publication.answer().body)
    assert document["authorization_servers"] == ["https://issuer.example", "https://staff.example"]
    assert document["scopes_supported"] == ["posts:all", "posts:draft", "posts:list", "posts:read"]


def test_a_service_is_one_resource() -> None:
    auth = Watchword(issuer="https://issuer.example", audience="posts", environ={})
    app = auth.publish_metadata(lambda *_: [], "https://posts.example")
    with pytest.raises(ConfigurationError, match="found two"):
        auth.publish_metadata(app, "https://other.example")

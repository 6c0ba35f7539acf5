"""An issuer's metadata is believed only if it speaks of that issuer and stays on its origin."""

from collections.abc import Callable
from typing import Any

import pytest

from watchword.errors import ConfigurationError, FetchFailed
from watchword.fetch import Transport
from watchword.resource.metadata import IssuerMetadata, locations
from watchword.testing.peers import IssuingPeer, Peer, Reply

RFC8414 = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


def find(metadata: IssuerMetadata) -> str:
    return Transport().drive(metadata.jwks_uri())


def says(peer: Peer, path: str, **members: Any) -> None:
    document = {"issuer": peer.url, "jwks_uri": f"{peer.url}/jwks", "token_endpoint": f"{peer.url}/token"}
    peer.routes[path] = lambda *_: Reply(200, document | members)


@pytest.fixture
def peer(start: Callable[[Peer], Peer]) -> Peer:
    return start(Peer())


@pytest.mark.parametrize(
    ("issuer", "first", "second"),
    [
        ("https://a.example", f"https://a.example{RFC8414}", f"https://a.example{OIDC}"),
        ("https://a.example/", f"https://a.example{RFC8414}", f"https://a.example{OIDC}"),
        (
            "https://a.example/realms/x",
            f"https://a.example{RFC8414}/realms/x",
            f"https://a.example/realms/x{OIDC}",
        ),
    ],
)
def test_the_well_known_places_are_those_of_both_specifications(issuer: str, first: str, second: str) -> None:
    assert locations(issuer) == (first, second)


@pytest.mark.parametrize("path", [RFC8414, OIDC])
def test_either_place_will_do(peer: Peer, path: str) -> None:
    says(peer, path)
    metadata = IssuerMetadata(peer.url)
    assert find(metadata) == f"{peer.url}/jwks"
    assert Transport().drive(metadata.token_endpoint()) == f"{peer.url}/token"


def test_metadata_is_read_once_an_hour_and_kept_while_it_cannot_be_read(peer: Peer, clock: Any) -> None:
    says(peer, RFC8414)
    metadata = IssuerMetadata(peer.url, clock=clock)
    for _ in range(10):
        find(metadata)
    assert len(peer.requests) == 1
    clock.advance(3601)
    says(peer, RFC8414, jwks_uri=f"{peer.url}/new")
    assert find(metadata) == f"{peer.url}/new"
    clock.advance(3601)
    peer.routes.clear()
    assert find(metadata) == f"{peer.url}/new"


@pytest.mark.threat(60)
@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "https://attacker.example"},
        {"issuer": None},
        {"issuer": ["{url}"]},
        {"issuer": "{url}/"},
        {"jwks_uri": "https://attacker.example/jwks"},
        {"jwks_uri": "http://localhost/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": 5},
        {"token_endpoint": "https://attacker.example/token"},
        {"jwks_uri": None},
    ],
    ids=str,
)
def test_metadata_of_another_issuer_or_origin_is_refused(peer: Peer, members: dict[str, Any]) -> None:
    filled = {
        name: value.replace("{url}", peer.url) if isinstance(value, str) else value
        for name, value in members.items()
    }
    says(peer, RFC8414, **filled)
    says(peer, OIDC, **filled)
    with pytest.raises(FetchFailed):
        find(IssuerMetadata(peer.url))


@pytest.mark.threat(60)
def test_a_key_set_on_another_origin_is_used_when_the_configuration_pins_it(peer: Peer) -> None:
    metadata = IssuerMetadata(peer.url, jwks_uri="https://keys.example/jwks")
    assert find(metadata) == "https://keys.example/jwks"
    assert peer.requests == []


@pytest.mark.parametrize("document", [b"", b"[]", b"<html>", b'{"issuer": "a", "issuer": "b"}', b"\xff"])
def test_what_is_no_json_object_is_refused(peer: Peer, document: bytes) -> None:
    peer.routes[RFC8414] = lambda *_: Reply(200, document)
    with pytest.raises(FetchFailed):
        find(IssuerMetadata(peer.url))


def test_a_redirect_of_the_metadata_is_not_followed(peer: Peer, issuer: IssuingPeer) -> None:
    peer.routes[RFC8414] = lambda *_: Reply(302, {}, {"Location": issuer.url + RFC8414})
    with pytest.raises(FetchFailed, match="302"):
        find(IssuerMetadata(peer.url))
    assert issuer.requests == []


@pytest.mark.parametrize("url", ["not a url", "ftp://a.example", "https://user@a.example", ""])
def test_an_issuer_that_is_no_url_is_a_mistake_of_the_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError):
        IssuerMetadata(url or "x")

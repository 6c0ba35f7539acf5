"""The how-to pages of the frameworks: each application on them runs, and refuses what it says."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from watchword.testing.peers import IssuingPeer
from watchword.testing.serving import serving_wsgi

PAGES = Path(__file__).resolve().parents[2] / "docs" / "how-to"
TEXT = "".join((PAGES / f"{name}.md").read_text() for name in ("flask-and-fastapi", "any-asgi-or-wsgi-app"))
FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', TEXT, re.MULTILINE | re.DOTALL))

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IssuingPeer]:
    peer = IssuingPeer()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WATCHWORD_ISSUER", peer.url)
    monkeypatch.setenv("WATCHWORD_AUDIENCE", "posts")
    with peer.running():
        yield peer


@pytest.fixture
def bearer(peer: IssuingPeer) -> Bearer:
    return lambda **claims: {"Authorization": f"Bearer {peer.token(**claims)}"}


def application(name: str) -> Any:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(FILES[name], name, "exec"), names)
    return names["app"]


def test_every_application_of_the_pages_is_run_here() -> None:
    expected = {"posts_flask.py", "posts_fastapi.py", "posts_starlette.py", "posts_asgi.py", "posts_wsgi.py"}
    assert set(FILES) == expected


def test_flask(bearer: Bearer) -> None:
    client = application("posts_flask.py").test_client()
    assert client.get("/posts/").status_code == 401
    assert client.get("/posts/", headers=bearer()).get_json() == {"reader": "john_doe"}
    assert client.delete("/posts/1", headers=bearer()).status_code == 403
    editor = bearer(scope={"posts:read", "posts:write"}, roles=["editor"])
    assert client.delete("/posts/1", headers=editor).status_code == 204
    assert client.get("/").get_json() == {"hello": "stranger"}
    assert client.get("/", headers=bearer()).get_json() == {"hello": "john_doe"}
    assert client.get("/.well-known/oauth-protected-resource").get_json()["scopes_supported"] == [
        "posts:read",
        "posts:write",
    ]


def test_fastapi(bearer: Bearer) -> None:
    app = application("posts_fastapi.py")
    with TestClient(app) as client:
        assert client.get("/posts/").status_code == 401
        assert client.get("/posts/", headers=bearer()).json() == {"reader": "john_doe"}
        assert client.delete("/posts/1", headers=bearer()).status_code == 403
        editor = bearer(scope={"posts:read", "posts:write"}, roles=["editor"])
        assert client.delete("/posts/1", headers=editor).status_code == 204
        assert client.get("/").json() == {"hello": "stranger"}
        assert client.get("/", headers=bearer()).json() == {"hello": "john_doe"}
        with client.websocket_connect("/posts/feed", headers=bearer()) as feed:
            assert feed.receive_json() == {"reader": "john_doe"}
        metadata = client.get("/.well-known/oauth-protected-resource").json()
        assert metadata["resource"] == "https://posts.example"
    schemes = app.openapi()["components"]["securitySchemes"]
    assert schemes["watchword"]["scheme"] == "bearer"


def test_starlette(bearer: Bearer) -> None:
    with TestClient(application("posts_starlette.py")) as client:
        assert client.get("/posts").status_code == 401
        assert client.get("/posts", headers=bearer()).json() == {"reader": "john_doe"}
        assert client.get("/reports/", headers=bearer()).status_code == 403
        reporter = bearer(scope={"reports:read"})
        assert client.get("/reports/", headers=reporter).json() == {"reported by": "john_doe"}
        with client.websocket_connect("/feed", headers=bearer()) as feed:
            assert feed.receive_json() == {"reader": "john_doe"}
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/feed"):
            pass
        challenge = client.get("/posts").headers["www-authenticate"]
        assert 'resource_metadata="https://posts.example/.well-known/oauth-protected-resource"' in challenge


def test_any_asgi_application(bearer: Bearer) -> None:
    client = TestClient(application("posts_asgi.py"))
    assert client.get("/").status_code == 401
    assert client.get("/", headers=bearer()).text == "hello john_doe"


def test_any_wsgi_application(bearer: Bearer) -> None:
    import requests

    with serving_wsgi(application("posts_wsgi.py")) as url:
        assert requests.get(url, timeout=10).status_code == 401
        assert requests.get(url, headers=bearer(), timeout=10).text == "hello john_doe"
        metadata = requests.get(f"{url}/.well-known/oauth-protected-resource", timeout=10)
        assert metadata.json()["scopes_supported"] == ["posts:read"]

"""How a test talks to an application: the framework's own client, or plain HTTP."""

import http.client
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_GUARD = 15.0  # seconds: hangs become failures


class Answer(NamedTuple):
    """A whole answer; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Send = Callable[[Sequence[str]], Any]
"""Sends one request with these values of `Authorization` headers; returns status, headers and body."""


def authenticated(app: Any, authorization: str, open_until: ExitStack) -> Any:
    """Return the test client of an application's framework, which sends this header with each request."""
    if hasattr(app, "test_client"):
        client = app.test_client()
        client.environ_base = {**client.environ_base, "HTTP_AUTHORIZATION": authorization}
        return client
    return _asgi_client(app, {"Authorization": authorization}, open_until)


def calling(target: Any, path: str, method: str, options: Mapping[str, Any], open_until: ExitStack) -> Send:
    """Return what calls one endpoint of an application, of a test client's, or of a URL."""
    if isinstance(target, str):
        if options:
            raise TypeError(f"expected no options for a URL, found {', '.join(sorted(options))}")
        return lambda values: _over_http(target, path, method, values)
    client = target
    if hasattr(target, "test_client"):
        client = target.test_client()
    elif not hasattr(target, "request") and not hasattr(target, "open"):
        client = _asgi_client(target, {}, open_until)
    request = client.open if hasattr(client, "open") else None

    def send(values: Sequence[str]) -> Answer:
        headers = [("Authorization", value) for value in values]
        if request is not None:
            answer = request(path, method=method, headers=headers, **options)
            return Answer(answer.status_code, _lower(answer.headers.items()), answer.data)
        answer = client.request(method, path, headers=headers, **options)
        return Answer(answer.status_code, _lower(answer.headers.items()), answer.content)

    return send


def _asgi_client(app: Any, headers: Mapping[str, str], open_until: ExitStack) -> Any:
    """Return a client that is inside its block: the lifespan runs, and one event loop serves all requests."""
    from starlette.testclient import TestClient  # noqa: PLC0415  # needed by those who test such applications

    return open_until.enter_context(TestClient(app, headers=dict(headers)))


def _over_http(url: str, path: str, method: str, values: Sequence[str]) -> Answer:
    address = urlsplit(url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=_GUARD)
    try:
        connection.putrequest(method, address.path.rstrip("/") + path)
        for value in values:
            connection.putheader("Authorization", value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, _lower(answer.getheaders()), answer.read())
    finally:
        connection.close()


def _lower(headers: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found

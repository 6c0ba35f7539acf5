"""How a test talks to an application: the framework's own client, or plain HTTP."""

import http.client
from collections.abc import Callable, Mapping, Sequence
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


def authenticated(app: Any, authorization: str) -> Any:
    """Return the test client of an application's framework, which sends this header with each request."""
    if hasattr(app, "test_client"):
        client = app.test_client()
        client.environ_base = {**client.environ_base, "HTTP_AUTHORIZATION": authorization}
        return client
    return _asgi_client(app, {"Authorization": authorization})


def calling(target: Any, path: str = "/", *, method: str = "GET", **options: Any) -> Send:
    """Return what calls one endpoint of a service; what `ConformanceSuite` wants to have.

    Args:
        target: a Flask application, an ASGI application such as FastAPI's, a test client of either, or the
            base URL of a service that runs.
        path: of the endpoint.
        method: how it is called.
        options: what else the test client's request takes, such as `json`; none for a URL.
    """
    if isinstance(target, str):
        if options:
            raise TypeError(f"expected no options for a URL, found {', '.join(sorted(options))}")
        return lambda values: _over_http(target, path, method, values)
    client = target
    if hasattr(target, "test_client"):
        client = target.test_client()
    elif not hasattr(target, "request") and not hasattr(target, "open"):
        client = _asgi_client(target, {})
    request = client.open if hasattr(client, "open") else None

    def send(values: Sequence[str]) -> Answer:
        headers = [("Authorization", value) for value in values]
        if request is not None:
            answer = request(path, method=method, headers=headers, **options)
            return Answer(answer.status_code, _lower(answer.headers.items()), answer.data)
        answer = client.request(method, path, headers=headers, **options)
        return Answer(answer.status_code, _lower(answer.headers.items()), answer.content)

    return send


def _asgi_client(app: Any, headers: Mapping[str, str]) -> Any:
    from starlette.testclient import TestClient  # noqa: PLC0415  # needed by those who test such applications

    return TestClient(app, headers=dict(headers))


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

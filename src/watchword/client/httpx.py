"""Calls with `httpx2` or `httpx`: one `Auth` for both, and clients bound to one callee."""

import asyncio
import importlib
import os
import ssl
import weakref
from collections.abc import AsyncGenerator, Generator
from types import ModuleType
from typing import Any

from watchword.client.outbound import Outbound
from watchword.errors import ConfigurationError

DEFAULT_TIMEOUT = 10.0


def _installed() -> list[ModuleType]:
    """Return the libraries that are here, the maintained one first."""
    found = []
    for name in ("httpx2", "httpx"):
        try:
            found.append(importlib.import_module(name))
        except ImportError:
            continue
    return found


_LIBRARIES = _installed()


_UNREAD: tuple[type[Exception], ...] = tuple(library.RequestNotRead for library in _LIBRARIES)


class _Bearer:
    """Puts the right token on a request, or refuses the request before it connects.

    A token that the callee does not accept any more is renewed once, and the request sent once more.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Add the header, waiting in this thread."""
        request.headers["Authorization"] = self._outbound.authorization(str(request.url))
        answer = yield request
        if answer.status_code == 401:
            renewed = self._outbound.renewed(*_refused(answer))
            if renewed is not None and _can_be_sent_again(request, answer):
                request.headers["Authorization"] = renewed
                yield request

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Add the header, waiting in this task."""
        request.headers["Authorization"] = await self._outbound.authorization_async(str(request.url))
        answer = yield request
        if answer.status_code == 401:
            renewed = await self._outbound.renewed_async(*_refused(answer))
            if renewed is not None and _can_be_sent_again(request, answer):
                request.headers["Authorization"] = renewed
                yield request


def _refused(answer: Any) -> tuple[str, str, list[str]]:
    """Return what was asked last, with which header, and the challenges of the answer."""
    sent = answer.request
    challenges = answer.headers.get_list("WWW-Authenticate")
    return str(sent.url), sent.headers.get("Authorization", ""), challenges


def _can_be_sent_again(request: Any, answer: Any) -> bool:
    """Tell whether sending this request again sends the same; after a redirect it may have done its work."""
    try:
        request.content  # noqa: B018  # raises where the body is a stream
    except _UNREAD:
        return False
    return not answer.history


BearerAuth: Any = type(
    "BearerAuth", (_Bearer, *(library.Auth for library in _LIBRARIES)), {"__doc__": _Bearer.__doc__}
)
"""An `Auth` of both libraries: works in `Client` and `AsyncClient` of either."""


class Clients:
    """Makes async clients that share connections per callee and event loop, and nothing else.

    Proxies, `.netrc` and certificate settings of the environment are not used. A redirect is followed only if
    the user says so, and beyond the callee's exact origin it never carries the token.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        if not _LIBRARIES:
            raise ConfigurationError("client(): expected httpx2 or httpx; install watchword[httpx2]")
        self._library = _LIBRARIES[0]
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._pid = os.getpid()
        self._shared: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()
        self._transport_class = _shared_transport(self._library)

    def client(self, outbound: Outbound) -> Any:
        """Return a fresh `AsyncClient` for this callee, for use in the event loop that asked for it."""
        if self._pid != os.getpid():
            self._pid, self._shared = os.getpid(), weakref.WeakKeyDictionary()
        transports = self._shared.setdefault(asyncio.get_running_loop(), {})
        inner = transports.get(outbound.target.callee)
        if inner is None:
            inner = self._library.AsyncHTTPTransport(verify=self._tls(), trust_env=False)
            transports[outbound.target.callee] = inner
        return self._library.AsyncClient(
            base_url=outbound.url,
            auth=BearerAuth(outbound),
            transport=self._transport_class(inner, outbound),
            timeout=DEFAULT_TIMEOUT,
            trust_env=False,
        )

    def _tls(self) -> ssl.SSLContext:
        """Return the one context of all connections: reading the certificates takes longer than a call."""
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
        return self._context

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        for transport in self._shared.pop(asyncio.get_running_loop(), {}).values():
            await transport.aclose()


def _shared_transport(library: ModuleType) -> Any:
    """Return a transport class that lends connections out, and lets no token pass to another origin."""

    class Lent(library.AsyncBaseTransport):  # type: ignore[misc,name-defined]
        """A shared transport as one client sees it."""

        def __init__(self, inner: Any, outbound: Outbound) -> None:
            self._inner, self._outbound = inner, outbound

        async def handle_async_request(self, request: Any) -> Any:
            # the libraries keep the header when a redirect goes from http to https on the same host
            if not self._outbound.may_carry(str(request.url)):
                request.headers.pop("Authorization", None)
            return await self._inner.handle_async_request(request)

        async def aclose(self) -> None:
            """Leave the connections to the one who lent them."""

    return Lent

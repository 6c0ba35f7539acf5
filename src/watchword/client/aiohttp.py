"""Calls with `aiohttp`: a client middleware, and sessions bound to one callee."""

import asyncio
import os
import ssl
import weakref
from contextvars import ContextVar
from typing import NamedTuple

import aiohttp
from aiohttp import ClientSession
from aiohttp.hdrs import AUTHORIZATION, LOCATION, WWW_AUTHENTICATE
from yarl import URL

from watchword.client.outbound import Outbound
from watchword.errors import DestinationRefused

DEFAULT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=3.05, sock_read=10.0)
"""Seconds to connect and between two reads; `aiohttp` itself would wait for five minutes."""

__all__ = ["AiohttpSessions", "BearerMiddleware", "ClientSession"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Step(NamedTuple):
    """Where the last answer of this task sends its client."""

    url: URL
    strayed: bool
    """Whether the way there has left the callee's origin: from then on nothing brings the token back."""


# The library calls a middleware for each step of a redirect as for a request of its own; where such a request
# must be refused, a step only goes without the token.
_next_step: ContextVar[_Step | None] = ContextVar("watchword_aiohttp_next_step", default=None)


class BearerMiddleware:
    """Puts the right token on a request, or refuses the request before it connects.

    A token that the callee does not accept any more is renewed once, and the request sent once more. For any
    `ClientSession`: `middlewares=[…]`, of the session or of one request.
    """

    __slots__ = ("_outbound",)

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Add the header, send, and send once more if that can help."""
        step, url = _next_step.get(), str(request.url)
        _next_step.set(None)
        announced = step if step is not None and step.url == request.url else None
        strayed = announced is not None and (announced.strayed or not self._outbound.may_carry(url))
        if strayed:
            request.headers.pop(AUTHORIZATION, None)
        else:
            if request.headers.get(AUTHORIZATION, "").startswith("Basic "):
                raise DestinationRefused("expected a URL without userinfo and a session without auth")
            request.headers[AUTHORIZATION] = await self._outbound.authorization_async(url)
        answer = await _sent(request, handler)
        if answer.status == 401 and await self._renewed(request, answer):
            answer = await _sent(request, handler)
        place = answer.headers.get(LOCATION) if answer.status in _REDIRECTS else None
        if place is not None and (following := _joined(request.url, place)) is not None:
            _next_step.set(_Step(following, strayed))
        return answer

    async def _renewed(self, request: aiohttp.ClientRequest, answer: aiohttp.ClientResponse) -> bool:
        """Put another token on a request that was refused; tell whether it can be sent again."""
        renewed = await self._outbound.renewed_async(
            str(request.url),
            request.headers.get(AUTHORIZATION, ""),
            answer.headers.getall(WWW_AUTHENTICATE, []),
        )
        # what was read from a file or an iterator is gone
        if renewed is None or getattr(request.body, "consumed", False):
            return False
        await answer.read()  # to the end, so that the connection serves again
        request.headers[AUTHORIZATION] = renewed
        return True


async def _sent(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientError as error:
        # as other libraries do: without it nobody could tell which service did not answer
        error.request = request  # type: ignore[attr-defined]
        raise


def _joined(url: URL, place: str) -> URL | None:
    """Return where a redirect leads as the library reads it; credentials in it play no part."""
    try:
        found = url.join(URL(place))
        return found.with_user(None).with_fragment(None) if found.absolute else None
    except ValueError:
        return None


class AiohttpSessions:
    """Makes sessions that share connections per callee and event loop, and nothing else.

    Proxies, `.netrc` and certificate settings of the environment are not used. A redirect beyond the callee's
    exact origin never carries the token.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._pid = os.getpid()
        self._shared: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[str, aiohttp.TCPConnector]
        ] = weakref.WeakKeyDictionary()

    def session(self, outbound: Outbound) -> ClientSession:
        """Return a fresh session for this callee, for use in the event loop that asked for it."""
        if self._pid != os.getpid():
            self._pid, self._shared = os.getpid(), weakref.WeakKeyDictionary()
        connectors = self._shared.setdefault(asyncio.get_running_loop(), {})
        connector = connectors.get(outbound.target.callee)
        if connector is None or connector.closed:
            connector = aiohttp.TCPConnector(ssl=self._tls())
            connectors[outbound.target.callee] = connector
        return ClientSession(
            outbound.url if outbound.url.endswith("/") else f"{outbound.url}/",
            connector=connector,
            connector_owner=False,
            middlewares=(BearerMiddleware(outbound),),
            timeout=DEFAULT_TIMEOUT,
            trust_env=False,
        )

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
        return self._context

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        for connector in self._shared.pop(asyncio.get_running_loop(), {}).values():
            await connector.close()

"""Calls with `requests`: a session bound to one callee."""

import os
import re
from collections.abc import MutableMapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from watchword.client.outbound import Outbound

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")

DEFAULT_TIMEOUT = (3.05, 10.0)
"""Seconds to connect and between two reads; `requests` itself would wait for ever."""

_POOL = 32  # connections that are kept for one callee: as many threads call it side by side without a new one


class BearerAuth(AuthBase):
    """Puts the right token on a request, or refuses the request before it connects.

    A token that the callee does not accept any more is renewed once, and the request sent once more.
    """

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the `Authorization` header, in place of any other."""
        request.headers["Authorization"] = self._outbound.authorization(request.url or "")
        request.register_hook("response", self._one_more_try)  # type: ignore[no-untyped-call]
        return request

    def _one_more_try(self, answer: requests.Response, **how: Any) -> requests.Response:
        """Send a request that was refused again with another token, if that can help."""
        if answer.status_code != 401:
            return answer
        sent = answer.request
        # several headers of this name stand in one, with commas between them (RFC 9110 §5.3)
        challenges = [answer.headers.get("WWW-Authenticate", "")]
        authorization = sent.headers.get("Authorization", "")  # none after a redirect to elsewhere
        renewed = self._outbound.renewed(sent.url or "", authorization, challenges)
        if renewed is None or not isinstance(sent.body, bytes | str | None):
            return answer  # what was read from a file or an iterator cannot be sent again
        again = sent.copy()
        again.headers["Authorization"] = renewed
        if not how.get("stream"):
            answer.content  # noqa: B018  # read to the end, the connection serves again
        answer.close()
        second: requests.Response = answer.connection.send(again, **how)
        second.history.append(answer)
        second.request = again
        return second


class CalleeSession(requests.Session):
    """A `requests.Session` for one callee: relative URLs, a token per request, a timeout.

    Proxies, `.netrc` and certificate settings of the environment are not used: a token must not take a way
    that nobody configured. A redirect within the callee's origin keeps the token, any other loses it.
    """

    def __init__(self, outbound: Outbound, adapter: HTTPAdapter, *, verify: str | bool = True) -> None:
        super().__init__()
        self.trust_env = False
        self.verify = verify
        self.auth = BearerAuth(outbound)
        self._outbound = outbound
        self.adapters.clear()
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Resolve a relative URL under the callee's base URL, path included."""
        if not _ABSOLUTE.match(request.url):
            request.url = f"{self._outbound.url.rstrip('/')}/{request.url.lstrip('/')}"
        return super().prepare_request(request)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send with a timeout, whether or not one was asked for."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = DEFAULT_TIMEOUT
        return super().send(request, **kwargs)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Give a redirected request the token of the one before it; none beyond the callee's exact origin."""
        prepared_request.headers.pop("Authorization", None)
        carried = response.request.headers.get("Authorization")
        if carried is not None and self._outbound.may_carry(prepared_request.url or ""):
            prepared_request.headers["Authorization"] = carried

    def close(self) -> None:
        """Forget the cookies; the connections are shared and stay."""
        self.cookies.clear()


class _OwnConnections(HTTPAdapter):
    """Connections of this process: a socket that two processes share mixes up their answers."""

    def __init__(self) -> None:
        super().__init__(pool_connections=1, pool_maxsize=_POOL)
        self._pid = os.getpid()

    def send(self, request: requests.PreparedRequest, **how: Any) -> requests.Response:  # type: ignore[override]
        """Send over a connection that was not opened before a fork."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.init_poolmanager(1, _POOL)
        return super().send(request, **how)


class Sessions:
    """Makes sessions that share connections per callee and nothing else: cookies of callers never meet."""

    def __init__(self, *, ca_file: str | None = None) -> None:
        self._verify: str | bool = ca_file if ca_file is not None else True
        self._adapters: MutableMapping[str, HTTPAdapter] = {}

    def session(self, outbound: Outbound) -> CalleeSession:
        """Return a fresh session for this callee."""
        adapter = self._adapters.setdefault(outbound.target.callee, _OwnConnections())
        return CalleeSession(outbound, adapter, verify=self._verify)

    def close(self) -> None:
        """Close every connection."""
        for adapter in self._adapters.values():
            adapter.close()
        self._adapters = {}

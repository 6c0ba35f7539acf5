"""One request as an endpoint sees it: exact headers, a bounded body."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from watchword.errors import ClientWentAway, RequestRefused
from watchword.server.limits import MAX_BODY

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

OPERATOR = "watchword.operator"
"""In a scope's `state`: who the kernel saw on the operator's socket."""


class Request:
    """An HTTP request. Nothing of it decides who we are: not `Host`, not any forwarded header."""

    __slots__ = ("_fields", "_headers", "_receive", "_repeated", "id", "operator", "query")

    def __init__(self, scope: Scope, receive: Receive, request_id: str) -> None:
        self.id = request_id
        self.operator: str | None = scope.get("state", {}).get(OPERATOR)
        """Who is at the other end of the operator's socket; `None` on every other listener."""
        self.query: bytes = scope["query_string"]
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]
        self._fields: dict[bytes, bytes] | None = None
        self._repeated = False
        self._receive = receive

    def header(self, name: bytes) -> str | None:
        """Return the value of a header field, `None` if it is absent; `name` is lower case.

        Raises:
            RequestRefused: it came twice, or is not ASCII.
        """
        fields = self._fields
        if fields is None:
            fields = self._fields = dict(self._headers)
            self._repeated = len(fields) != len(self._headers)
        found = fields.get(name)
        if found is None:
            return None
        if self._repeated:
            times = sum(key == name for key, _ in self._headers)
            if times > 1:
                raise RequestRefused(400, f"expected the header {name.decode()} once, found it {times} times")
        try:
            return found.decode("ascii")
        except UnicodeDecodeError:
            raise RequestRefused(400, f"expected the header {name.decode()} in ASCII") from None

    async def body(self, *, limit: int = MAX_BODY) -> bytes:
        """Return the whole body.

        Raises:
            RequestRefused: it is longer than `limit` bytes, by what it says or by what comes.
            ClientWentAway: it never became whole.
        """
        declared = self.header(b"content-length")
        if declared is not None and int(declared) > limit:  # llhttp lets only digits through
            raise self._too_long(limit)
        message = await self._receive()
        if message["type"] == "http.request" and not message["more_body"]:
            whole: bytes = message["body"]
        else:
            parts = bytearray()
            while True:
                if message["type"] != "http.request":
                    raise ClientWentAway("the connection closed before the body was whole")
                parts += message["body"]
                if len(parts) > limit or not message["more_body"]:
                    break
                message = await self._receive()
            whole = bytes(parts)
        if len(whole) > limit:
            raise self._too_long(limit)
        return whole

    def _too_long(self, limit: int) -> RequestRefused:
        # a client that waits for 100 Continue will not send the body: what follows could be taken for it
        close = ((b"connection", b"close"),) if self.header(b"expect") is not None else ()
        return RequestRefused(413, f"expected a body of at most {limit} bytes", headers=close)

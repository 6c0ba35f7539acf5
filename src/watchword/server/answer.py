"""What goes back to a client, as a value, and the headers that every answer carries."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

NO_STORE: Headers = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
"""For answers that hold a token or depend on who asks (RFC 6749 §5.1)."""

CLOSE = (b"connection", b"close")
"""In an answer's headers: it is the last one on its connection."""

JSON = b"application/json"

_EVERYWHERE: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)

encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode


class Answer(NamedTuple):
    """A whole answer; bodies are small, so nothing is streamed."""

    status: int
    body: bytes = b""
    content_type: bytes | None = None
    headers: Headers = NO_STORE
    error: Exception | None = None
    """What the log says about a refusal; never sent."""

    def header_fields(self, request_id: bytes) -> list[tuple[bytes, bytes]]:
        """Return every header field of the answer."""
        fields = [(b"x-request-id", request_id), *_EVERYWHERE, *self.headers]
        if self.content_type is not None:
            fields.append((b"content-type", self.content_type))
        if self.status != 304:
            fields.append((b"content-length", b"%d" % len(self.body)))
        return fields

    def head(self, request_id: bytes) -> bytes:
        """Return the same fields as lines of an HTTP/1.1 header, without the empty line that ends it.

        Args:
            request_id: visible ASCII.

        Raises:
            ValueError: a field that would be two lines.
        """
        known = _lines(self.headers, self.content_type)
        if self.status == 304:
            return b"x-request-id: %s\r\n%s" % (request_id, known)
        return b"x-request-id: %s\r\n%scontent-length: %d\r\n" % (request_id, known, len(self.body))


@lru_cache(maxsize=1_024)  # there are few: what a client is told varies in the body
def _lines(headers: Headers, content_type: bytes | None) -> bytes:
    fields = [*_EVERYWHERE, *headers]
    if content_type is not None:
        fields.append((b"content-type", content_type))
    lines = [name + b": " + value for name, value in fields]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise ValueError("expected header fields of one line each")
    return b"".join(line + b"\r\n" for line in lines)


def json_answer(value: Any) -> Answer:
    """Return a successful JSON answer that nobody may store."""
    return Answer(200, encode_json(value), JSON)

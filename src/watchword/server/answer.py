"""What goes back to a client, as a value, and the headers that every answer carries."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

Headers = tuple[tuple[bytes, bytes], ...]

NO_STORE: Headers = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
"""For answers that hold a token or depend on who asks (RFC 6749 §5.1)."""

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


def json_answer(value: Any) -> Answer:
    """Return a successful JSON answer that nobody may store."""
    return Answer(200, encode_json(value), JSON)

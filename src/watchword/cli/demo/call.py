"""One HTTP request of the demonstration, over the standard library alone."""

import base64
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        """Return the decoded body; `None` if it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return None


def call(
    method: str,
    url: str,
    *,
    token: str | None = None,
    json: Any = None,
    form: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and return the whole answer.

    Raises:
        OSError: nobody answers, or not in time.
    """
    address = urlsplit(url)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body: bytes | None = None
    if json is not None:
        body, headers["Content-Type"] = msgspec.json.encode(json), "application/json"
    elif form is not None:
        body, headers["Content-Type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT)
    try:
        connection.request(method, f"{address.path}?{address.query}", body=body, headers=headers)
        response = connection.getresponse()
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        )
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {type(error).__name__}") from None
    finally:
        connection.close()


def unverified_parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a token as they stand there, to be shown and not to be believed."""
    header, claims = (
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")[:2]
    )
    return msgspec.json.decode(header), msgspec.json.decode(claims)

"""Forms, read strictly: one media type, UTF-8, proper percent-encoding, a bounded number of fields."""

import re
from urllib.parse import unquote_to_bytes

from watchword.errors import RequestRefused
from watchword.server.limits import MAX_FIELDS
from watchword.server.request import Request

_MEDIA_TYPE = "application/x-www-form-urlencoded"
_BROKEN_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


async def read_form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form in a POST body, in their order (RFC 6749 §3.2 and appendix B).

    Raises:
        RequestRefused: 400 for parameters in the query, a missing content type or a malformed form, 413 for
            a long body, 415 for another content type.
    """
    if request.query:
        raise RequestRefused(400, "expected every parameter in the body, found some in the query")
    _demand_form(request)
    return fields(await request.body())


def _demand_form(request: Request) -> None:
    found = request.header(b"content-type")
    if found is None:
        raise RequestRefused(400, f"expected content type {_MEDIA_TYPE}, found none")
    media_type, _, parameter = found.partition(";")
    charset = parameter.replace('"', "").strip(" \t").lower()
    if media_type.strip(" \t").lower() != _MEDIA_TYPE or charset not in ("", "charset=utf-8"):
        raise RequestRefused(415, f"expected content type {_MEDIA_TYPE}")
    if request.header(b"content-encoding") is not None:
        raise RequestRefused(415, "expected a body without content coding")


def fields(text: bytes) -> list[tuple[str, str]]:
    """Return the fields of form-urlencoded text.

    Raises:
        RequestRefused: too many fields, a broken escape, or text that is not UTF-8.
    """
    if text.count(b"&") >= MAX_FIELDS:
        raise RequestRefused(400, f"expected at most {MAX_FIELDS} parameters")
    if _BROKEN_PERCENT.search(text):
        raise RequestRefused(400, "expected % to be followed by two hexadecimal digits")
    found = []
    for field in text.replace(b"+", b" ").split(b"&"):
        if field:
            name, _, value = field.partition(b"=")
            try:
                found.append((_decoded(name), _decoded(value)))
            except UnicodeDecodeError:
                raise RequestRefused(400, "expected parameters in UTF-8") from None
    return found


def _decoded(text: bytes) -> str:
    return (unquote_to_bytes(text) if b"%" in text else text).decode()

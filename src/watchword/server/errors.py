"""The only maker of error bodies: what a stranger may know, in the form that the endpoint's RFC wants."""

import http
import math

from watchword.errors import (
    InvalidClient,
    KeyringError,
    KeysUnavailable,
    OAuthError,
    OperationInvalid,
    RequestRefused,
    StoreError,
    TemporarilyUnavailable,
    TooManyRequests,
    WatchwordError,
)
from watchword.errors.root import Problems
from watchword.server.answer import JSON, NO_STORE, Answer, Headers, encode_json

RETRY_AFTER_SECONDS = 5
_PROBLEM = b"application/problem+json"

# RFC 9110 §15.5.2 wants a challenge on every 401; RFC 6749 §5.2 wants this one where Basic was tried
_CHALLENGE: Headers = ((b"www-authenticate", b'Basic realm="watchword", charset="UTF-8"'),)
_RETRY: Headers = ((b"retry-after", b"%d" % RETRY_AFTER_SECONDS),)


def oauth_refusal(error: Exception) -> Answer:
    """Return the answer of a token or introspection endpoint (RFC 6749 §5.2): an RFC code and nothing else.

    What is wrong on our side is 503 with `Retry-After`, or 500 if nobody foresaw it.
    """
    headers = NO_STORE
    if isinstance(error, RequestRefused):
        status, code, headers = error.status, "invalid_request", headers + error.headers
    elif isinstance(error, OAuthError):
        status, code = error.status, error.error
    elif isinstance(error, StoreError | KeyringError | KeysUnavailable):
        status, code = 503, TemporarilyUnavailable.error
    else:
        status, code = 500, "server_error"
    if isinstance(error, InvalidClient):
        headers += _CHALLENGE
    if isinstance(error, TooManyRequests):
        headers += ((b"retry-after", b"%d" % math.ceil(error.retry_after)),)
    elif status == 503:
        headers += _RETRY
    return Answer(status, encode_json({"error": code}), JSON, headers, error)


def problem(error: Exception) -> Answer:
    """Return the answer of any other address: a problem document with a fixed text (RFC 9457)."""
    headers = NO_STORE
    if isinstance(error, RequestRefused):
        status, headers = error.status, headers + error.headers
    elif isinstance(error, StoreError | KeyringError | KeysUnavailable | TemporarilyUnavailable):
        status, headers = 503, headers + _RETRY
    else:
        status = 500
    body = encode_json({"type": "about:blank", "title": http.HTTPStatus(status).phrase, "status": status})
    return Answer(status, body, _PROBLEM, headers, error)


def operator_refusal(error: Exception) -> Answer:
    """Return the answer to an operator: the code and what is wrong, in words; never a trace.

    The operator may read what a stranger may not: it is the text that stands in the log.
    """
    if isinstance(error, RequestRefused):
        status, code, problems = error.status, error.code, [str(error)]
    elif isinstance(error, Problems):
        status, code, problems = 400, error.code, list(error.problems)
    elif isinstance(error, OperationInvalid):
        status, code, problems = 400, error.code, [str(error)]
    elif isinstance(error, WatchwordError):
        status, code, problems = 503 if isinstance(error, StoreError) else 409, error.code, [str(error)]
    else:
        status, code, problems = 500, "server_error", ["an unexpected error; the server's log has it"]
    headers = NO_STORE + (error.headers if isinstance(error, RequestRefused) else ())
    return Answer(status, encode_json({"code": code, "problems": problems}), JSON, headers, error)

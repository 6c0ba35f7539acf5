"""What it means for our own caller that a call to another service failed, whichever HTTP library made it."""

from collections.abc import Collection

from watchword.errors import (
    CalleeFailed,
    CalleeTimeout,
    CalleeUnreachable,
    DestinationRefused,
    OutboundError,
)
from watchword.fetch import Origin, origin_of

_LIBRARIES = frozenset({"requests", "httpx", "httpx2", "aiohttp"})
_TIMEOUTS = frozenset({"Timeout", "TimeoutException", "ServerTimeoutError"})
_ANSWERS = frozenset({"HTTPError", "HTTPStatusError", "ClientResponseError"})


def outbound_error(error: BaseException, urls: Collection[str]) -> OutboundError | None:
    """Return our name for a failed call to one of these services; `None` if it is something else.

    The libraries are known by the names of their exceptions, so that none of them has to be installed.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.partition(".")[0] in _LIBRARIES}
    if not kinds:
        return None
    called = _called(error)
    if called is None or called not in {origin_of(url) for url in urls}:
        return None
    if kinds & _TIMEOUTS:
        return CalleeTimeout(f"{called} did not answer in time")
    status = _status(error) if kinds & _ANSWERS else None
    if status is not None:
        return CalleeFailed(f"expected success of {called}, found status {status}")
    return CalleeUnreachable(f"{called} cannot be reached: {type(error).__name__}")


def _status(error: BaseException) -> int | None:
    """Return the status of the answer that the error is about; `None` if there was no answer.

    httpx2 and httpx derive their status error from a class that requests uses for transport errors too.
    """
    response = getattr(error, "response", None)
    status: int | None = getattr(error, "status", None) if response is None else response.status_code
    return status


def _called(error: BaseException) -> Origin | None:
    """Return the origin of the request that failed; `None` if the error does not know."""
    try:
        if (info := getattr(error, "request_info", None)) is not None:  # aiohttp, once there is an answer
            return origin_of(str(info.real_url))
        return origin_of(str(error.request.url))  # type: ignore[attr-defined]  # the others always, ours too
    except (AttributeError, RuntimeError, DestinationRefused):
        return None

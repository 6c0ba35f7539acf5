"""A call to another service did not leave, or did not come back."""

from watchword.errors.root import WatchwordError


class OutboundError(WatchwordError):
    """A call to another service did not leave this process, or came back without an answer."""

    code = "outbound_refused"


class DestinationRefused(OutboundError):
    """The URL is not of the callee's configured origin, or it is plain http off loopback."""

    code = "destination_refused"


class FetchFailed(OutboundError):
    """A key set or metadata could not be fetched whole, in time and within the limits."""

    code = "fetch_failed"
    public = "a service that this one depends on is not reachable"


class TokenEndpointUnreachable(OutboundError):
    """The token server did not answer in time, or not in a way that can be understood."""

    code = "token_endpoint_unreachable"
    public = "a service that this one depends on is not reachable"


class CalleeUnreachable(OutboundError):
    """The service that was called cannot be reached."""

    code = "callee_unreachable"
    public = "a service that this one depends on is not reachable"


class CalleeTimeout(OutboundError):
    """The service that was called did not answer in time."""

    code = "callee_timeout"
    public = "a service that this one depends on did not answer in time"


class CalleeFailed(OutboundError):
    """The service that was called answered with an error, and the caller's code did not expect one."""

    code = "callee_failed"
    public = "a service that this one depends on could not answer"


class NoCaller(WatchwordError):
    """An outbound call on behalf of a caller, where there is no caller.

    Raised outside a request and in threads or tasks that were not given the caller with `bind()`.
    """

    code = "no_caller"

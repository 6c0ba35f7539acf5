"""What keeps the token service from serving, or from serving one request."""

from watchword.errors.root import WatchwordError


class ServerError(WatchwordError):
    """The token service cannot serve, or cannot serve this request."""

    code = "server_error"


class AddressUnavailable(ServerError):
    """The address is taken by another process."""

    code = "address_unavailable"


class RequestRefused(ServerError):
    """A request that no endpoint may see: its form, its size or its time is at fault (RFC 9110 §15.5).

    `status` is what is answered, `headers` what the answer carries besides the usual fields.
    """

    code = "request_refused"
    public = "the request is malformed"

    def __init__(self, status: int, message: str, *, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.status = status
        self.headers = headers
        super().__init__(message)


class ClientWentAway(ServerError):
    """The connection closed before the request was whole: there is nobody to answer."""

    code = "client_went_away"

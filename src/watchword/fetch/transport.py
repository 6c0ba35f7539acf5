"""One HTTP request: a total deadline, a size limit, no redirects, https or loopback only."""

import http.client
import io
import ipaddress
import socket
import ssl
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import DestinationRefused, FetchFailed
from watchword.fetch.origin import Origin, demand_safe, split

T = TypeVar("T")

DEFAULT_TIMEOUT = 5.0
MAX_BODY = 256 * 1024
_MAX_HEAD = 64 * 1024
_CHUNK = 16 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. Headers and body may hold credentials and are not printed."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What was answered; header names in lower case. Any status, redirects too: nothing is followed."""

    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = field(default=b"", repr=False)


Flow = Generator[Request, Response, T]
"""A conversation without I/O: yields requests, receives responses, returns what it found."""


class Transport:
    """How to reach issuers: certificates, the plain http exceptions, the limits.

    Args:
        ca_file: PEM certificates to trust *instead of* the system's; `None` trusts the system's.
        insecure_http_hosts: hosts beyond loopback that may be spoken to without TLS.
        timeout: seconds for a whole flow, from the first look-up of a name to the last byte.
        max_body: bytes of a response body.

    There is no way to switch certificate checks off, and no proxy is taken from the environment.
    """

    __slots__ = ("_ca_file", "_context", "insecure_http_hosts", "max_body", "timeout")

    def __init__(
        self,
        *,
        ca_file: str | Path | None = None,
        insecure_http_hosts: Collection[str] = (),
        timeout: float = DEFAULT_TIMEOUT,
        max_body: int = MAX_BODY,
    ) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self.insecure_http_hosts = frozenset(insecure_http_hosts)
        self.timeout = timeout
        self.max_body = max_body

    def drive(self, flow: Flow[T], deadline: float | None = None) -> T:
        """Run a flow to its end, blocking, all of its requests before one deadline on the monotonic clock.

        Raises:
            FetchFailed: thrown into the flow; outward if the flow does not handle it.
        """
        if deadline is None:
            deadline = SYSTEM_CLOCK.monotonic() + self.timeout
        try:
            request = next(flow)
            while True:
                try:
                    response = self.send(request, deadline)
                except (FetchFailed, DestinationRefused) as error:
                    request = flow.throw(error)
                else:
                    request = flow.send(response)
        except StopIteration as stop:
            result: T = stop.value
            return result

    def send(self, request: Request, deadline: float) -> Response:
        """Send one request and return the answer, whatever its status.

        Raises:
            DestinationRefused: the URL must not be used; nothing was connected.
            FetchFailed: no whole answer before the deadline and within the limits.
        """
        origin, target = split(request.url)
        demand_safe(origin, self.insecure_http_hosts)
        try:
            with self._connect(origin, deadline) as sock:
                return _converse(
                    _Wire(sock, deadline, self.max_body + _MAX_HEAD), origin, target, request, self.max_body
                )
        except TimeoutError:
            raise FetchFailed(f"{origin} gave no whole answer in time") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise FetchFailed(f"{origin} cannot be asked: {_plain(error)}") from error

    def _connect(self, origin: Origin, deadline: float) -> socket.socket:
        """Resolve once and connect to what was resolved: no second look-up can bring another address."""
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
        error: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in found:
            _demand_reachable(origin, str(address[0]))
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(_left(deadline))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if origin.scheme == "https":
                    sock.settimeout(_left(deadline))
                    return self._tls().wrap_socket(sock, server_hostname=origin.host)
            except OSError as failed:
                sock.close()
                error = failed
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise error

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.create_default_context(cafile=None if self._ca_file is None else str(self._ca_file))
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context = context
        return self._context


def _demand_reachable(origin: Origin, address: str) -> None:
    """Refuse addresses that no issuer has: link-local is where clouds keep their metadata services."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        raise FetchFailed(f"{origin} resolves to an address that is link-local, multicast or unspecified")
    if origin.host == "localhost" and not ip.is_loopback:
        raise FetchFailed("localhost resolves to another machine")


def _left(deadline: float) -> float:
    left = deadline - SYSTEM_CLOCK.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Wire:
    """A socket as `http.client` uses it, with what is left until the deadline as every single timeout."""

    def __init__(self, sock: socket.socket, deadline: float, limit: int) -> None:
        self._sock, self._deadline, self._limit = sock, deadline, limit

    def sendall(self, data: Any) -> None:
        view = memoryview(data).cast("B")
        while view:
            self._sock.settimeout(_left(self._deadline))
            view = view[self._sock.send(view[:_CHUNK]) :]

    def receive(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._deadline))
        count = self._sock.recv_into(buffer)
        self._limit -= count
        if self._limit < 0:
            raise http.client.HTTPException("the answer is too long")
        return count

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self))

    def close(self) -> None:
        """Leave the socket to the one who opened it."""


class _Incoming(io.RawIOBase):
    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._wire.receive(buffer)


def _converse(wire: _Wire, origin: Origin, target: str, request: Request, max_body: int) -> Response:
    connection = http.client.HTTPConnection(origin.host, origin.port)
    connection.default_port = 443 if origin.scheme == "https" else 80
    connection.sock = wire
    headers = {"User-Agent": "watchword", "Connection": "close", **request.headers}
    # http.client says `Accept-Encoding: identity`: a body that is small on the wire is small here
    connection.request(request.method, target, body=request.body, headers=headers)
    answer = connection.getresponse()
    if answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise FetchFailed(f"{origin} encoded its answer although identity was asked for")
    if answer.length is not None and answer.length > max_body:
        raise FetchFailed(f"expected at most {max_body} bytes from {origin}, found {answer.length}")
    body = answer.read(max_body + 1)
    if len(body) > max_body:
        raise FetchFailed(f"expected at most {max_body} bytes from {origin}, found more")
    if answer.length:
        raise FetchFailed(f"{origin} closed the connection before its answer was whole")
    fields: dict[str, str] = {}
    for name, value in answer.headers.items():
        key = name.lower()
        fields[key] = f"{fields[key]}, {value}" if key in fields else value
    return Response(answer.status, fields, body)


def _plain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return type(error).__name__

"""uvicorn's HTTP/1.1 protocol with the bounds that it lacks: header size, header time, body time."""

from asyncio import BaseTransport, Event, TimerHandle
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from watchword.errors import RequestRefused
from watchword.server.answer import CLOSE
from watchword.server.application import ANSWERED, Application, log_request, new_request_id
from watchword.server.cycle import Cycle
from watchword.server.errors import problem
from watchword.server.limits import (
    BODY_SECONDS,
    HEADER_SECONDS,
    LINGER_SECONDS,
    MAX_HEADER_BYTES,
    MAX_HEADER_FIELDS,
)

_IDLE, _HEADER, _BODY, _REFUSED = range(4)


class BoundedProtocol(HttpToolsProtocol):
    """One connection: a client that is slow or sends too much is refused, others do not notice.

    A request that arrives whole in one piece costs no timer at all.
    """

    header_seconds = HEADER_SECONDS
    body_seconds = BODY_SECONDS

    def connection_made(self, transport: BaseTransport) -> None:
        """Begin; the time for the first header starts now."""
        super().connection_made(cast(Any, transport))
        self._phase = _IDLE
        self._timed = _IDLE
        self._deadline: TimerHandle | None = None
        self._header_bytes = 0
        self._unparsed = 0
        self._begun = 0
        self._time(_HEADER)

    def connection_lost(self, exc: Exception | None) -> None:
        """End; no timer outlives the connection."""
        self._time(_IDLE)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and hold what comes against the bounds."""
        if self._phase == _REFUSED:
            return  # read and forgotten, so that the refusal is not lost in a reset
        self._unset_keepalive_if_required()
        phase_before, self._begun = self._phase, 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # no other protocol is spoken here: answered as if it had not asked
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(
                cause if isinstance(cause, RequestRefused) else RequestRefused(400, "malformed request")
            )
            return
        except httptools.HttpParserError:
            self._refuse(RequestRefused(400, "expected an HTTP/1.1 request"))
            return
        if self._phase == _HEADER:
            # the parser keeps an unfinished field to itself: count what it was fed since the header began
            if self._begun == 0 or (self._begun == 1 and phase_before == _IDLE):
                self._unparsed += len(data)
            if self._unparsed > MAX_HEADER_BYTES:
                self._refuse(_header_too_long())
                return
        nothing_asked = self._phase == _IDLE and (self.cycle is None or self.cycle.response_complete)
        self._time(_HEADER if nothing_asked else self._phase)

    def on_message_begin(self) -> None:
        """Begin with a request line."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        # what `Application` looks at, of all that ASGI has
        scope = {
            "type": "http",
            "client": self.client,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        self.scope = cast(Any, scope)
        self._phase = _HEADER
        self._begun += 1
        self._header_bytes = self._unparsed = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        self._header_bytes += len(url)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _header_too_long()
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field; fields after the body are not header fields (RFC 9110 §6.5.1)."""
        if self._phase != _HEADER:
            return
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) >= MAX_HEADER_FIELDS:
            raise _header_too_long()
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start to answer."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise RequestRefused(400, "expected HTTP/1.0 or HTTP/1.1")
        if b"#" in self.url:
            raise RequestRefused(400, "expected a request target without fragment")
        target = httptools.parse_url(self.url)
        if not (target.path or b"\xff").isascii():
            raise RequestRefused(400, "expected a request target with a path")
        scope = cast(dict[str, Any], self.scope)
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["raw_path"], scope["query_string"] = target.path, target.query or b""
        before = self.cycle
        self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # it came before the one in front of it was answered: in turn
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))
        self._phase = _BODY

    def on_message_complete(self) -> None:
        """Take note that the request is whole."""
        super().on_message_complete()
        self._phase = _IDLE

    def _time(self, phase: int) -> None:
        """Give the phase its time, unless that is running already."""
        if phase == self._timed:
            return
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._timed = phase
        if phase in (_HEADER, _BODY):
            seconds = self.header_seconds if phase == _HEADER else self.body_seconds
            self._deadline = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        if self._phase == _IDLE:
            self.transport.close()  # nothing was asked on this connection
        else:
            what = "header" if self._phase == _HEADER else "body"
            self._refuse(RequestRefused(408, f"expected the whole {what} in time"))

    def _refuse(self, error: RequestRefused) -> None:
        """Answer what no endpoint may see, and close once the client had time to read it."""
        phase, self._phase = self._phase, _REFUSED
        self._time(_IDLE)
        if self.transport.is_closing():
            return
        if phase == _BODY and (self.cycle.response_started or self.pipeline):
            self.transport.close()  # answered already, or others wait before it
            return
        if phase != _BODY and self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # an earlier request is being answered: that answer is the last one
            return
        answer, request_id = problem(error), new_request_id()
        log_request(request_id, self.client[0] if self.client else None, answer.status, error)
        if isinstance(self.app, Application):
            self.app.count("other", answer.status, error, 0.0)
        fields = [*self.server_state.default_headers, *answer.header_fields(request_id.encode()), CLOSE]
        lines = [b"%s: %s\r\n" % field for field in fields]
        self.transport.write(b"".join([STATUS_LINE[answer.status], *lines, b"\r\n", answer.body]))
        if phase == _BODY:
            self.scope["state"][ANSWERED] = True
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _header_too_long() -> RequestRefused:
    return RequestRefused(
        431, f"expected a header of at most {MAX_HEADER_BYTES} bytes and {MAX_HEADER_FIELDS} fields"
    )

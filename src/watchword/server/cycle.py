"""One request and its answer on a connection: uvicorn's cycle, with an answer that leaves as a whole."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from watchword.server.answer import CLOSE
from watchword.server.application import Application
from watchword.server.request import Receive, Scope, Send


class Cycle(RequestResponseCycle):
    """Hands the request to our application and writes status, header and body at once.

    ASGI would take two messages and look at every header field again, three times what the rest of a small
    answer costs. Another application than ours is served as ASGI has it.
    """

    _application: Application

    async def run_asgi(self, app: Any) -> None:
        """Have the request answered; what an application lets escape is logged and answered with 500."""
        if isinstance(app, Application):
            self._application = app
            app = self._whole
        await super().run_asgi(app)

    async def _whole(self, scope: Scope, receive: Receive, _: Send) -> None:
        answer, request_id = await self._application.respond(scope, receive)
        if answer is None:
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.response_started = True
        self.waiting_for_100_continue = False
        parts = [STATUS_LINE[answer.status]]
        for name, value in self.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(answer.head(request_id.encode()))
        if CLOSE in answer.headers:
            self.keep_alive = False
        elif self._application.stop_sign.raised or not self.keep_alive:
            self.keep_alive = False
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        if scope["method"] != "HEAD":
            parts.append(answer.body)
        self.transport.write(b"".join(parts))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

"""`POST /admin/<noun>/<verb>`: an operation of the operator, on the operator's socket and nowhere else."""

from collections.abc import Awaitable, Callable
from typing import Any

from watchword.errors import RequestRefused
from watchword.server.answer import Answer, json_answer
from watchword.server.limits import MAX_OPERATION
from watchword.server.request import Request

Perform = Callable[[bytes, str], Awaitable[Any]]
"""Carries out one operation: its request in JSON, and who asks."""


class AdministerEndpoint:
    """Hands a bounded JSON body to one operation, with the user that the kernel saw at the other end."""

    __slots__ = ("_perform",)

    def __init__(self, perform: Perform) -> None:
        self._perform = perform

    async def __call__(self, request: Request) -> Answer:
        """Return what the operation tells."""
        if request.operator is None:  # a listener that does not know who comes: there is nothing here
            raise RequestRefused(404, "there is nothing at this path")
        if request.query:
            raise RequestRefused(400, "expected every parameter in the body, found some in the query")
        if request.header(b"content-type") != "application/json":
            raise RequestRefused(415, "expected content type application/json")
        if request.header(b"content-encoding") is not None:
            raise RequestRefused(415, "expected a body without content coding")
        body = await request.body(limit=MAX_OPERATION)
        return json_answer(await self._perform(body, request.operator))

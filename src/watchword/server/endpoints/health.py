"""`GET /health/live` and `/health/ready`: for whoever starts, restarts and routes to this process."""

from collections.abc import Awaitable, Callable

from watchword.errors import TemporarilyUnavailable
from watchword.server.answer import Answer, json_answer
from watchword.server.request import Request
from watchword.server.stop_sign import StopSign

_LIVE = json_answer({"status": "live"})
_READY = json_answer({"status": "ready"})


async def live(_: Request) -> Answer:
    """Answer 200 as long as this process can answer at all."""
    return _LIVE


class ReadyEndpoint:
    """Answers 200 if a token could be issued now, else 503.

    Args:
        demand_ready: returns if tokens can be issued, raises if not.
        stop_sign: once it is raised, whoever routes requests to this server should look elsewhere.
    """

    __slots__ = ("_demand_ready", "_stop_sign")

    def __init__(self, demand_ready: Callable[[], Awaitable[None]], stop_sign: StopSign) -> None:
        self._demand_ready = demand_ready
        self._stop_sign = stop_sign

    async def __call__(self, _: Request) -> Answer:
        """Answer 200, or raise what stands in the way."""
        self._demand_going_on()
        await self._demand_ready()
        self._demand_going_on()  # a signal may have come while the disk was asked
        return _READY

    def _demand_going_on(self) -> None:
        if self._stop_sign.raised:
            raise TemporarilyUnavailable("the server is stopping")

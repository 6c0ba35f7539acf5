"""A request on behalf of its caller, for frameworks that run a dependency around it."""

from collections.abc import Callable, Sequence

from watchword.errors import WatchwordError
from watchword.integrations.guard import Guard, OnBehalf
from watchword.tokens.verified import VerifiedToken


class Visiting:
    """Admits a request for the time of an `async with`, or refuses it.

    Args:
        guard: admits.
        authorization: the value of every `Authorization` header.
        refused: makes of an error what the framework answers with.
    """

    __slots__ = ("_authorization", "_guard", "_refused", "_running", "token")

    _running: OnBehalf
    token: VerifiedToken | None

    def __init__(
        self, guard: Guard, authorization: Sequence[str], refused: Callable[[WatchwordError], Exception]
    ) -> None:
        self._guard = guard
        self._authorization = authorization
        self._refused = refused

    async def __aenter__(self) -> "Visiting":
        """Begin; `token` is there from now on."""
        try:
            visit = await self._guard.aadmit(self._authorization)
        except WatchwordError as error:
            raise self._refused(error) from error
        self.token = visit.token
        self._running = visit.running()
        self._running.__enter__()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self._running.__exit__(kind, error, trace)
        except WatchwordError as failed:
            raise self._refused(failed) from failed
        if isinstance(error, WatchwordError):
            told = self._refused(error)
            if told is not error:
                raise told from error

    async def end(self) -> None:
        """End the caller now, before the block does."""
        self._running.end()

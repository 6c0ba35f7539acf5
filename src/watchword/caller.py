"""On whose behalf are we running: one context variable.

A caller lives exactly as long as its request. Tasks that asyncio starts within a request inherit it, and
lose it when the request ends, since the caller itself is marked as ended: a background task or a
callback that comes later finds nobody. Threads inherit nothing. `bind` carries the caller on purpose.
"""

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from watchword.errors import NoCaller
from watchword.tokens.verified import VerifiedToken

P = ParamSpec("P")
R = TypeVar("R")


class Caller:
    """Who called: the verified token and, for the exchange only, its text. Unprintable, not picklable."""

    __slots__ = ("_live", "_text", "token")

    def __init__(self, token_text: str, token: VerifiedToken) -> None:
        self._text = token_text
        self._live = True
        self.token = token

    @property
    def token_text(self) -> str:
        """The token as it came.

        Raises:
            NoCaller: the request is over.
        """
        self._demand_live()
        return self._text

    def _demand_live(self) -> None:
        if not self._live:
            raise NoCaller("the request of this caller is over; carry a caller into later work with bind()")

    def _end(self) -> None:
        self._live = False
        self._text = ""

    def __repr__(self) -> str:
        return f"Caller({self.token!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a caller cannot be pickled: send the work, not the credential")


_current: ContextVar[Caller | None] = ContextVar("watchword_caller", default=None)


def current() -> Caller:
    """Return the caller of the running request.

    Raises:
        NoCaller: outside any request, after it, or in a thread that was not given the caller.
    """
    caller = _current.get()
    if caller is None:
        raise NoCaller(
            "expected a caller, found none: this runs outside a request, or in a thread without bind();"
            " own_identity=True asks for the service's own identity"
        )
    caller._demand_live()
    return caller


class Running:
    """The time of one caller: from the beginning of a `with` to its end, or to `end` if that comes first."""

    __slots__ = ("_caller", "_undo")

    def __init__(self, caller: Caller) -> None:
        self._caller: Caller | None = caller
        self._undo: Token[Caller | None] | None = None

    def __enter__(self) -> Caller:
        """Begin."""
        if self._caller is None:
            raise NoCaller("the request of this caller is over")
        self._undo = _current.set(self._caller)
        return self._caller

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it; nobody runs on behalf of this caller any more. Once more does nothing."""
        caller, undo = self._caller, self._undo
        if caller is None:
            return
        self._caller = self._undo = None
        caller._end()
        if undo is not None:
            # a framework may finish a request in another context than it began; the caller has ended anyway
            with suppress(ValueError):
                _current.reset(undo)


def running_for(token_text: str, token: VerifiedToken) -> Running:
    """Run a block on behalf of the caller who presented this token; afterwards there is none."""
    return Running(Caller(token_text, token))


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, plain or async, bound to the current caller wherever and whenever it runs.

    Each run gets a caller of its own, which ends with it. The token itself is not prolonged: after its
    `exp` nothing can be exchanged for it.

    Raises:
        NoCaller: there is no caller to carry.
    """
    caller = current()
    text, token = caller.token_text, caller.token

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def bound_async(*args: Any, **kwargs: Any) -> Any:
            with running_for(text, token):
                return await function(*args, **kwargs)

        return cast("Callable[P, R]", bound_async)

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        with running_for(text, token):
            return function(*args, **kwargs)

    return bound

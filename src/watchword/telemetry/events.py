"""What a `Watchword` object tells an observer, the moment it happens; none of it holds a token or a key."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """A request or a token was refused; accepted ones are counted and not told one by one."""

    name: ClassVar[str] = "token.refused"
    code: str
    """The stable code of the error."""
    reason: str
    """For the operator: what was expected and what was found."""
    client_id: str | None = None
    """Of a genuine token that may not do what was asked; what a refused token says is never repeated."""
    token_id: str | None = None
    story_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeySetFetched:
    """An issuer was asked for its key set."""

    name: ClassVar[str] = "key_set.fetched"
    issuer: str
    outcome: str
    """`changed`, `unchanged` or `failed`."""
    seconds: float
    problem: str | None = None
    """Of a failure."""


@dataclass(frozen=True, slots=True)
class KeySetAlarm:
    """A key set holds what no key set should; somebody has to look."""

    name: ClassVar[str] = "key_set.alarm"
    issuer: str
    alarm: str
    """`private_key`, `kid_reused`, `kid_twice`, `too_many_keys` or `unusable_key`."""
    detail: str


@dataclass(frozen=True, slots=True)
class TokenRequested:
    """The token endpoint was asked for a token, by exchange or for the service itself."""

    name: ClassVar[str] = "token.requested"
    callee: str
    outcome: str
    """`granted`, `unreachable`, or why not: `rule`, `scope`, `client`, `subject_token`, `other`."""
    seconds: float
    request_id: str | None = None
    """The token server's, of a denial."""


@dataclass(frozen=True, slots=True)
class CalleeRefused:
    """A callee answered that the token which was got for it is not valid."""

    name: ClassVar[str] = "callee.refused"
    callee: str


Event = TokenRefused | KeySetFetched | KeySetAlarm | TokenRequested | CalleeRefused

Observer = Callable[[Event], None]
"""Is called in the thread where it happens, also in an event loop's: it must be quick and must not wait.
What it raises is logged and harms nobody."""

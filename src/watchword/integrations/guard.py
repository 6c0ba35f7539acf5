"""What every framework's guard is made of: whom it admits, and for whom the code behind it runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from watchword import service
from watchword.caller import Caller, running_for
from watchword.errors import AudienceMismatch, BearerError, TokenError, TokenMissing
from watchword.integrations.callee import callee_failures
from watchword.resource.authorize import demand
from watchword.resource.bearer import bearer_token
from watchword.tokens.verified import VerifiedToken


class Visit(NamedTuple):
    """A request that was admitted."""

    token: VerifiedToken | None
    """`None`: nobody presented one, and the guard is optional."""
    running: Callable[[], AbstractContextManager[Caller | None]]
    """Runs a block on behalf of the caller, as often as the request needs it; nobody can print the token."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Whom a guarded endpoint admits."""

    service: service.Watchword
    scopes: tuple[str, ...] = ()
    role: str | None = None
    audience: str | None = None
    optional: bool = False
    """Requests without any token come in, too; a bad token never does."""

    def admit(self, authorization: Sequence[str]) -> Visit:
        """Judge the values of every `Authorization` header.

        Raises:
            BearerError, TokenError, KeysUnavailable: the request is not admitted.
        """
        text = self._presented(authorization)
        return self._visit(text, None if text is None else self.service.verify(text))

    async def aadmit(self, authorization: Sequence[str]) -> Visit:
        """Judge as `admit`, without ever blocking the event loop."""
        text = self._presented(authorization)
        return self._visit(text, None if text is None else await self.service.averify(text))

    def demand(self, token: VerifiedToken | None) -> None:
        """Return if the token is for this audience and holds every scope, its subject the role."""
        try:
            self._judge(token)
        except (BearerError, TokenError) as error:
            self.service.note_refusal(error, token)
            raise

    def _judge(self, token: VerifiedToken | None) -> None:
        if token is None:
            if self.optional:
                return
            raise TokenMissing("expected a token, found none")
        if self.audience is not None and self.audience not in token.audience:
            raise AudienceMismatch(
                f"expected a token for {self.audience}, found one for another of our names"
            )
        demand(token, self.scopes, role=self.role)

    def _presented(self, authorization: Sequence[str]) -> str | None:
        try:
            return bearer_token(authorization)
        except BearerError as error:
            if self.optional and isinstance(error, TokenMissing):
                return None
            self.service.note_refusal(error)
            raise

    def _visit(self, text: str | None, token: VerifiedToken | None) -> Visit:
        self.demand(token)
        urls = self.service.settings.urls.values()

        @contextmanager
        def running() -> Iterator[Caller | None]:
            with callee_failures(urls):
                if text is None or token is None:
                    yield None
                else:
                    with running_for(text, token) as caller:
                        yield caller

        return Visit(token, running)

"""What every framework's guard is made of: whom it admits, and for whom the code behind it runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from watchword import service
from watchword.caller import Caller, Running, running_for
from watchword.errors import AudienceMismatch, BearerError, TokenError, TokenMissing
from watchword.integrations.callee import outbound_error
from watchword.resource.authorize import demand
from watchword.resource.bearer import bearer_token
from watchword.tokens.verified import VerifiedToken


class OnBehalf:
    """A block that runs on behalf of the caller, if there is one; failed calls in it get a name of ours.

    Raises:
        CalleeUnreachable, CalleeTimeout, CalleeFailed: at its end, for a failed call that nobody caught.
    """

    __slots__ = ("_running", "_urls")

    def __init__(self, running: Running | None, urls: Collection[str]) -> None:
        self._running = running
        self._urls: Collection[str] | None = urls

    def __enter__(self) -> Caller | None:
        """Begin."""
        return None if self._running is None else self._running.__enter__()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        urls = self._urls
        self.end()
        if urls is not None and isinstance(error, Exception):
            known = outbound_error(error, urls)
            if known is not None:
                raise known from error

    def end(self) -> None:
        """End the caller now; what goes wrong from now on is nobody's call."""
        self._urls = None
        if self._running is not None:
            self._running.end()


class Visit:
    """A request that was admitted; nobody can print the token's text."""

    __slots__ = ("_text", "_urls", "token")

    def __init__(self, text: str | None, token: VerifiedToken | None, urls: Collection[str]) -> None:
        self._text = text
        self._urls = urls
        self.token = token
        """`None`: nobody presented one, and the guard is optional."""

    def running(self) -> OnBehalf:
        """Return a block on behalf of the caller, as often as the request needs one."""
        if self._text is None or self.token is None:
            return OnBehalf(None, self._urls)
        return OnBehalf(running_for(self._text, self.token), self._urls)


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
        return Visit(text, token, self.service.settings.urls.values())

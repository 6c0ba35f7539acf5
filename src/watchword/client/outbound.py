"""Where a token may go: to the exact origin of the callee that it is meant for, and nowhere else."""

import logging
from collections.abc import Callable, Collection, Iterable
from typing import Literal, NoReturn

from watchword import caller
from watchword.audit.event import AuditEvent
from watchword.client.challenge import says_invalid_token
from watchword.client.endpoint import SubjectToken, Target
from watchword.client.token_source import TokenSource
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import DestinationRefused, WatchwordError
from watchword.fetch import Waiting, demand_safe, origin_of, run, run_async
from watchword.telemetry import Meter
from watchword.tokens import jws
from watchword.tokens.kind import kind_of

Audit = Callable[[AuditEvent], None]
OnBehalf = Literal["caller", "self", "insecure_pass_through"]

_log = logging.getLogger(__name__)


class Outbound:
    """The credential for calls to one callee; every HTTP library's adapter asks it and nothing else.

    Args:
        target: for whom tokens are asked.
        url: the callee's base URL; its origin is the only one that ever gets a token.
        source: where tokens come from; `None` only for a pass-through.
        on_behalf: of the caller by exchange, of the service itself, or the caller's own token as it came.
        own_issuer: its tokens are exchanged as access tokens, those of others as JWTs or ID tokens, whatever
            they are (RFC 8693 §3).
        insecure_http_hosts: hosts beyond loopback that may get a token without TLS.
        audit: learns of every token that is passed through.
        clock: for audit events.
        meter: counts the answers of a callee that its token is not valid.

    Raises:
        DestinationRefused: `url` is no URL that a token may be sent to.
    """

    __slots__ = (
        "_audit", "_clock", "_meter", "_on_behalf", "_origin", "_own_issuer", "_source", "target", "url",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        url: str,
        *,
        source: TokenSource | None,
        on_behalf: OnBehalf = "caller",
        own_issuer: str = "",
        insecure_http_hosts: Collection[str] = (),
        audit: Audit | None = None,
        clock: Clock = SYSTEM_CLOCK,
        meter: Meter | None = None,
    ) -> None:
        self._meter = meter or Meter()
        self.target = target
        self.url = url
        self._origin = origin_of(url)
        demand_safe(self._origin, insecure_http_hosts)
        self._source = source
        self._on_behalf = on_behalf
        self._own_issuer = own_issuer
        self._audit = audit
        self._clock = clock

    def demand_caller(self) -> None:
        """Return if there is somebody to call for; asked when a session is made, and again for each request.

        Raises:
            NoCaller: there is not, and the service's own identity was not asked for.
        """
        if self._on_behalf != "self":
            caller.current()

    def demand_destination(self, url: str) -> None:
        """Return if a request to this URL may carry a token.

        Raises:
            DestinationRefused: another scheme, host or port than the callee's, or no plain URL.
        """
        if origin_of(url) != self._origin:
            raise DestinationRefused(
                f"expected the origin of {self.target.callee}, {self._origin}, found another"
            )

    def may_carry(self, url: str) -> bool:
        """Tell whether a redirected request to this URL keeps its token."""
        try:
            self.demand_destination(url)
        except DestinationRefused:
            return False
        return True

    def authorization(self, url: str) -> str:
        """Return the `Authorization` header for a request to this URL; may wait for an exchange.

        Raises:
            DestinationRefused: not the callee's origin.
            NoCaller: nobody to call for.
            TokenExpired: the caller's token has expired.
            ExchangeDenied: the token server said no.
            TokenEndpointUnreachable: it did not answer in time.
        """
        return run(self._flow(url))

    async def authorization_async(self, url: str) -> str:
        """Return the same without blocking the event loop."""
        return await run_async(self._flow(url))

    def renewed(self, url: str, authorization: str, authenticate: Iterable[str]) -> str | None:
        """Return the header for one more try after status 401; `None` if there is no use in it.

        Only if the callee says `invalid_token`, and only for a token that came from here. Then it is given
        up, and it alone. Many who are refused at once share one new token; if a callee does not accept that
        one either, it gets no further one for half a minute. A token that cannot be renewed leaves the
        callee's own answer to the user, so nothing is raised.

        Args:
            url: that was asked.
            authorization: the header that was sent.
            authenticate: the value of every `WWW-Authenticate` header of the answer.
        """
        return run(self._renewal(url, authorization, authenticate))

    async def renewed_async(self, url: str, authorization: str, authenticate: Iterable[str]) -> str | None:
        """Return the same without blocking the event loop."""
        return await run_async(self._renewal(url, authorization, authenticate))

    def _renewal(self, url: str, authorization: str, authenticate: Iterable[str]) -> Waiting[str | None]:
        ours = self._on_behalf != "insecure_pass_through" and self.may_carry(url)
        if not ours or not authorization or not says_invalid_token(authenticate):
            return None
        self._meter.refused_by(self.target.callee)
        try:
            found = yield from self._flow(url, refused=authorization.removeprefix("Bearer "))
        except WatchwordError as error:
            _log.warning("%s refused a token, and there is no other: %s", self.target.callee, error)
            return None
        if found == authorization:
            _log.warning("%s refused a token that was made for it just now", self.target.callee)
            return None
        return found

    def _flow(self, url: str, refused: str | None = None) -> Waiting[str]:
        self.demand_destination(url)
        if self._on_behalf == "insecure_pass_through":
            return f"Bearer {self._passed_through()}"
        if self._source is None:
            _no_source()
        if self._on_behalf == "self":
            return f"Bearer {(yield from self._source.own(self.target, refused=refused))}"
        whom = caller.current()
        kind = "access_token" if whom.token.issuer == self._own_issuer else _kind_elsewhere(whom)
        subject = SubjectToken(whom.token_text, kind, whom.token.expires_at)
        return f"Bearer {(yield from self._source.exchange(subject, self.target, refused=refused))}"

    def _passed_through(self) -> str:
        """Return the caller's own token, with a trace of it: the callee can now act as this service could."""
        whom = caller.current()
        _log.warning("the caller's own token is passed through to %s", self.target.callee)
        if self._audit is not None:
            self._audit(
                AuditEvent(
                    type="token.passed_through",
                    time=self._clock.now(),
                    client=whom.token.client_id,
                    subject=whom.token.subject.id,
                    audience=self.target.audience,
                    jti=whom.token.token_id,
                    txn=whom.token.story_id,
                    kid=whom.token.key_id,
                )
            )
        return whom.token_text

    def __repr__(self) -> str:
        return f"Outbound(callee={self.target.callee!r}, url={self.url!r}, on_behalf={self._on_behalf!r})"


def _no_source() -> NoReturn:
    raise DestinationRefused("expected a token source, found none: only a pass-through works without one")


def _kind_elsewhere(whom: caller.Caller) -> Literal["jwt", "id_token"]:
    """Return what another issuer's token is called in an exchange: what was proven when it was verified."""
    typ = jws.parse_header(jws.split(whom.token_text).header).typ
    return "id_token" if kind_of(typ, whom.token.claims) == "id_token" else "jwt"

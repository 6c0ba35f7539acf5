"""The door of every endpoint for services: who comes in is known, and what comes of it is written down."""

from dataclasses import dataclass
from typing import NoReturn

from watchword.audit.event import AuditEvent
from watchword.authority.client_auth import AuthenticatedClient, ClientAuthenticator
from watchword.authority.quota import Quota, Unlimited
from watchword.authority.requests import TokenRequest
from watchword.errors import (
    AlreadyConsumed,
    InvalidClient,
    KeysUnavailable,
    OAuthError,
    StoreError,
    TemporarilyUnavailable,
    TooManyRequests,
    WatchwordError,
)
from watchword.grants.parameters import Parameters
from watchword.grants.stores import IssuedToken, Ledger
from watchword.trust.model import TrustDocument

REFUSED = "token.refused"
_MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Visit:
    """A request whose sender has proved who it is."""

    parameters: Parameters
    client: AuthenticatedClient
    request_id: str | None


class Door:
    """Lets authenticated clients in and remembers what came of it, before anybody is answered.

    Args:
        clients: who proves whom.
        ledger: where it is written down.
        quota: how often each client may come in.
    """

    __slots__ = ("_clients", "_ledger", "_quota")

    def __init__(self, clients: ClientAuthenticator, ledger: Ledger, *, quota: Quota | None = None) -> None:
        self._clients = clients
        self._ledger = ledger
        self._quota = Unlimited() if quota is None else quota

    async def admit(self, request: TokenRequest, document: TrustDocument, now: float) -> Visit:
        """Return the request as a visit of a known client; a refusal is counted, not kept.

        Raises:
            InvalidRequest: a repeated parameter, two methods of authentication.
            InvalidClient: nobody, or somebody without a proof that holds.
            TemporarilyUnavailable: the client's keys cannot be had now.
            TooManyRequests: the client comes too often.
        """
        try:
            parameters = Parameters(request.parameters)
            client = await self._clients.authenticate(parameters, request.authorization, document, now)
            self._demand_quota(client.service.client_id)
        except (OAuthError, KeysUnavailable) as error:
            await self.count(error, request.request_id, now)
            answer(error)
        return Visit(parameters, client, request.request_id)

    async def record(self, event: AuditEvent, visit: Visit, *, issued: IssuedToken | None = None) -> None:
        """Write the outcome of a visit and use up the client's assertion, together and durably.

        Raises:
            InvalidClient: the assertion was used before; nothing was written, so nothing may be answered.
            TemporarilyUnavailable: it could not be written, so nothing may be answered.
        """
        try:
            await self._ledger.record(event, consume=visit.client.consume, issued=issued)
        except AlreadyConsumed as error:
            replay = InvalidClient(f"client_assertion of {visit.client.service.client_id} was used before")
            replay.__cause__ = error
            # whoever heard it once and repeats it takes nothing from the client that made it
            self._quota.give_back(visit.client.service.client_id)
            await self.count(replay, visit.request_id, event.time)
            raise replay from error
        except StoreError as error:
            raise TemporarilyUnavailable("the outcome could not be written down durably") from error

    async def count(self, error: WatchwordError, request_id: str | None, now: float) -> None:
        """Count the refusal of somebody who was not let in; it is no event of its own."""
        sample = AuditEvent(
            type=REFUSED, time=now, outcome="refused", reason=reason_of(error), request_id=request_id
        )
        try:
            await self._ledger.count_refusal(code_of(error), sample=sample)
        except StoreError:
            return  # a counter that cannot be kept changes no answer: nothing was given

    def _demand_quota(self, client_id: str) -> None:
        """Take from the client's account: only now, since a stranger can name anybody."""
        wait = self._quota.take(client_id)
        if wait:
            raise TooManyRequests(f"client {client_id} asks more often than it may", retry_after=wait)


def answer(error: WatchwordError) -> NoReturn:
    """Raise the error that the client is answered; what is our fault is `temporarily_unavailable`."""
    if isinstance(error, OAuthError):
        raise error
    raise TemporarilyUnavailable(str(error)) from error


def code_of(error: WatchwordError) -> str:
    """Return the stable code of what went wrong, the innermost that we raised ourselves."""
    cause = error.__cause__
    return cause.code if isinstance(cause, WatchwordError) else error.code


def reason_of(error: WatchwordError) -> str:
    """Return code and operator's text of a refusal, bounded; neither holds a token or a secret."""
    return f"{code_of(error)}: {error}"[:_MAX_REASON]

"""Who asks: exactly one method of client authentication, the registered one (RFC 6749 §2.3)."""

from dataclasses import dataclass

from watchword.authority.client_assertion import ASSERTION_TYPE, AssertionVerifier
from watchword.authority.client_secret import Credentials, demand_secret, read_basic
from watchword.errors import InvalidClient, InvalidRequest
from watchword.grants.parameters import Parameters
from watchword.grants.stores import Consumption
from watchword.tokens.jwk_set import printable
from watchword.trust.model import Service, TrustDocument


@dataclass(frozen=True, slots=True)
class AuthenticatedClient:
    """A service that has proved who it is."""

    service: Service
    consume: tuple[Consumption, ...] = ()
    """Its assertion's single use: consumed in the transaction of the outcome, whatever the outcome is."""


class ClientAuthenticator:
    """Authenticates clients against the trust document that it is given; nobody is let in without proof."""

    __slots__ = ("_assertions",)

    def __init__(self, assertions: AssertionVerifier) -> None:
        self._assertions = assertions

    async def authenticate(
        self, parameters: Parameters, authorization: str | None, document: TrustDocument, now: float
    ) -> AuthenticatedClient:
        """Return the client that sent this request.

        Args:
            parameters: of the form.
            authorization: the value of the one `Authorization` header, if there was one.
            document: whom we know.
            now: seconds since the epoch.

        Raises:
            InvalidRequest: two methods in one request, or two names for one client.
            InvalidClient: no method, an unknown client, a proof that does not hold.
            KeysUnavailable: the client's keys cannot be had now.
        """
        by_assertion = "client_assertion" in parameters or "client_assertion_type" in parameters
        found = [
            name
            for name, is_there in (
                ("client_secret_basic", authorization is not None),
                ("client_secret_post", "client_secret" in parameters),
                ("private_key_jwt", by_assertion),
            )
            if is_there
        ]
        if len(found) > 1:
            raise InvalidRequest(f"expected one method of client authentication, found {', '.join(found)}")
        if not found:
            raise InvalidClient("expected client authentication, found none: there are no public clients")
        if by_assertion:
            client = await self._by_assertion(parameters, document, now)
        elif authorization is not None:
            client = AuthenticatedClient(demand_secret(read_basic(authorization), document, now))
        else:
            credentials = Credentials(parameters.require("client_id"), parameters.require("client_secret"))
            client = AuthenticatedClient(demand_secret(credentials, document, now))
        if client.service.disabled:  # after the proof, so that a stranger does not learn it
            raise InvalidClient(f"client {client.service.client_id} is disabled")
        named = parameters.get("client_id")
        if named is not None and named != client.service.client_id:
            raise InvalidRequest(f"client_id names {printable(named)}, but another client authenticated")
        return client

    async def _by_assertion(
        self, parameters: Parameters, document: TrustDocument, now: float
    ) -> AuthenticatedClient:
        kind = parameters.require("client_assertion_type")
        if kind != ASSERTION_TYPE:
            raise InvalidClient(f"client_assertion_type: expected {ASSERTION_TYPE}, found {printable(kind)}")
        service, single_use = await self._assertions.verify(
            parameters.require("client_assertion"), document, now
        )
        return AuthenticatedClient(service, (single_use,))

"""The `Watchword` object of a service with endpoints, before any framework."""

from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

from watchword import service
from watchword.caller import current
from watchword.errors import ConfigurationError, NoCaller, WatchwordError
from watchword.integrations.guard import Guard
from watchword.integrations.published import Publication, of_resource
from watchword.integrations.refusals import refusal_of
from watchword.resource.authorize import scope_tokens
from watchword.resource.bearer import Refusal
from watchword.tokens.verified import VerifiedToken

P = ParamSpec("P")
R = TypeVar("R")


class Guarding(service.Watchword):
    """Makes guards, remembers what they demand, and answers errors."""

    _demanded: frozenset[str] = frozenset()
    _metadata_url: str | None = None

    def guard(
        self, scopes: Collection[str], *, role: str | None, audience: str | None, optional: bool = False
    ) -> Guard:
        """Return a guard, checked where it is written and not at the first request.

        Raises:
            TypeError, ValueError: a scope that no token can hold, an audience that is not this service.
        """
        tokens = scope_tokens(scopes)
        if audience is not None and audience not in self.settings.audience:
            raise ValueError(
                f"expected one of WATCHWORD_AUDIENCE, {', '.join(sorted(self.settings.audience))},"
                f" found {audience!a:.80}"
            )
        self._demanded |= set(tokens)
        return Guard(self, tokens, role, audience, optional)

    def refusal_of(self, error: WatchwordError) -> Refusal | None:
        """Return the answer to an error and log its reason; `None` if it is our own mistake and no answer."""
        return refusal_of(error, resource_metadata=self._metadata_url)

    def resource_metadata(self, resource: str, scopes: Collection[str], *, max_age: int) -> Publication:
        """Return the RFC 9728 document for whoever serves it; refusals name its place from now on."""
        if self._metadata_url is not None:
            raise ConfigurationError(
                "publish_metadata: expected one resource per Watchword object, found two"
            )
        trusted = self.settings.trusted_issuers.values()
        also = scope_tokens(scopes)
        publication, self._metadata_url = of_resource(
            resource,
            authorization_servers=[self.settings.issuer.issuer, *(issuer.issuer for issuer in trusted)],
            scopes=lambda: self._demanded.union(also),
            insecure_http_hosts=self.settings.insecure_http_hosts,
            max_age=max_age,
        )
        return publication


class Decorating(Guarding):
    """The same for frameworks whose endpoints are decorated, and ask the object who calls."""

    def decorated(self, guard: Guard, endpoint: Callable[P, R]) -> Callable[P, R]:
        """Return the endpoint behind the guard; each framework says how."""
        raise TypeError("a framework says how it guards an endpoint")

    def require(
        self, *scopes: str, role: str | None = None, audience: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator that admits requests whose token holds every scope, its subject the role.

        The endpoint, plain or async, and an answer that it streams, run on behalf of the caller. Refusals
        are 401, 403 and 400 with `WWW-Authenticate` (RFC 6750 §3), 503 without keys; a call to another
        service that fails and is not caught there is 502, 503 or 504. `audience` is for a service with
        several: only tokens for this one are admitted. In Flask it stands below the route's decorator.
        """
        guard = self.guard(scopes, role=role, audience=audience)
        return lambda endpoint: self.decorated(guard, endpoint)

    def optional(
        self, *scopes: str, role: str | None = None, audience: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator as `require` that also admits requests without any token: `token_or_none`.

        A token that is there must be good, and must hold the scopes.
        """
        guard = self.guard(scopes, role=role, audience=audience, optional=True)
        return lambda endpoint: self.decorated(guard, endpoint)

    @property
    def token(self) -> VerifiedToken:
        """The verified token of this request.

        Raises:
            NoCaller: outside of what is guarded, and where an optional guard found no token.
        """
        return current().token

    @property
    def token_or_none(self) -> VerifiedToken | None:
        """The verified token of this request; `None` if there is no caller."""
        try:
            return current().token
        except NoCaller:
            return None

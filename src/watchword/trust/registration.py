"""Credentials that an operator registered beside the document, and clients that are disabled; values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Self

from watchword.errors import RegistrationRefused
from watchword.tokens.jwk import PublicKey
from watchword.tokens.jwk_set import JWKSet
from watchword.trust.model import Service, TrustDocument

MAX_LIVE = 2
"""Secrets of one client that are valid at once: the one in use, and the one that replaces it."""


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret or a public key of a client; times are seconds since the epoch."""

    id: str
    """SHA-256 of the secret in hex, or the key's `kid`."""
    since: float
    ends: float | None = None
    """When it is valid no more; `None`: until it is replaced."""
    jwk: Mapping[str, Any] | None = None
    """The public key; `None`: this is a secret."""

    def valid(self, now: float) -> bool:
        """Tell whether it proves anything now."""
        return self.ends is None or now < self.ends


@dataclass(frozen=True, slots=True)
class Registration:
    """What is known of one client beside the document."""

    client_id: str
    credentials: tuple[Credential, ...] = ()
    """Of one kind: secrets or keys."""
    disabled_since: float | None = None
    version: int = 0
    """Counts changes; a store refuses a registration whose version is not the one it holds."""

    @property
    def kind(self) -> str | None:
        """`secret` or `keys`; `None` without any credential."""
        if not self.credentials:
            return None
        return "secret" if self.credentials[0].jwk is None else "keys"

    def with_secret(self, digest: str, now: float) -> Self:
        """Register the first secret.

        Raises:
            RegistrationRefused: there are credentials already.
        """
        self._demand_empty()
        return replace(self, credentials=(Credential(digest, now),))

    def with_keys(self, keys: Iterable[PublicKey], now: float) -> Self:
        """Register the first keys.

        Raises:
            RegistrationRefused: there are credentials already.
        """
        self._demand_empty()
        return replace(self, credentials=tuple(_of_key(key, now) for key in keys))

    def rotated(self, digest: str, now: float, old_until: float) -> Self:
        """Register a new secret; the old one is valid until `old_until`, which may be now.

        Raises:
            RegistrationRefused: there is no secret to replace, or two are valid and would go on to be.
        """
        self._demand_kind("secret")
        live = [credential for credential in self.credentials if credential.valid(now)]
        if old_until > now and len(live) >= MAX_LIVE:
            raise RegistrationRefused(
                f"two secrets of {self.client_id} are valid already: wait until the older one ends,"
                " or end both now with --old-until 0"
            )
        return replace(self, credentials=(*_ending(live, now, old_until), Credential(digest, now)))

    def with_other_keys(self, keys: Iterable[PublicKey], now: float, old_until: float) -> Self:
        """Replace the keys; one that is not in the new set is valid until `old_until`.

        Raises:
            RegistrationRefused: no key is registered.
        """
        self._demand_kind("keys")
        new = {str(key.kid): _of_key(key, now) for key in keys}
        kept = {
            credential.id: credential
            for credential in self.credentials
            if credential.id in new and credential.jwk == new[credential.id].jwk
        }
        for kid, credential in kept.items():
            new[kid] = replace(credential, ends=None)
        old = [
            credential
            for credential in self.credentials
            if credential.valid(now) and credential.id not in new
        ]
        return replace(self, credentials=(*_ending(old, now, old_until), *new.values()))

    def without_credentials(self) -> Self:
        """Forget every credential; whether the client is disabled stays."""
        return replace(self, credentials=())

    def _demand_empty(self) -> None:
        if self.credentials:
            raise RegistrationRefused(
                f"{self.client_id} is registered already: rotate-secret and set-keys change its credentials"
            )

    def _demand_kind(self, kind: str) -> None:
        if self.kind != kind:
            found = {None: "nothing", "keys": "keys", "secret": "a secret"}[self.kind]
            wanted = "a secret" if kind == "secret" else "keys"
            raise RegistrationRefused(f"expected {wanted} registered for {self.client_id}, found {found}")


def _of_key(key: PublicKey, now: float) -> Credential:
    (jwk,) = JWKSet([key]).to_dict()["keys"]
    return Credential(str(key.kid), now, jwk=jwk)


def _ending(old: Iterable[Credential], now: float, until: float) -> list[Credential]:
    """Return credentials that end at `until`, or sooner where that is said already; none that is over."""
    ending = (
        replace(credential, ends=until if credential.ends is None else min(credential.ends, until))
        for credential in old
    )
    return [credential for credential in ending if credential.valid(now)]


def in_force(document: TrustDocument, registrations: Iterable[Registration]) -> TrustDocument:
    """Return the document with what is registered beside it: what requests are decided by.

    A service whose document has its credentials takes none from here, so that each has one source.
    """
    services = dict(document.services)
    for registration in registrations:
        service = services.get(registration.client_id)
        if service is not None:
            services[service.client_id] = _registered(service, registration)
    return TrustDocument(services, document.issuers)


def has_credentials(service: Service) -> bool:
    """Tell whether the document itself says how this service proves who it is."""
    return service.jwks is not None or service.jwks_uri is not None or bool(service.secret_sha256)


def _registered(service: Service, registration: Registration) -> Service:
    disabled = replace(service, disabled=registration.disabled_since is not None)
    if has_credentials(service) or registration.kind is None:
        return disabled
    ends = {c.id: c.ends for c in registration.credentials if c.ends is not None}
    if registration.kind == "secret":
        digests = tuple(credential.id for credential in registration.credentials)
        return replace(disabled, secret_sha256=digests, ends=MappingProxyType(ends))
    keys = JWKSet(PublicKey.from_jwk(c.jwk) for c in registration.credentials if c.jwk is not None)
    return replace(disabled, jwks=keys, ends=MappingProxyType(ends))

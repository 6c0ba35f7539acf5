"""What an operator sees of the clients: where their credentials are, which are valid, who is disabled."""

from collections.abc import Mapping

import msgspec

from watchword.authority.admin.operation import AdminContext, Name, Request
from watchword.authority.applied_trust import document_of
from watchword.errors import RegistrationRefused
from watchword.trust.model import Service
from watchword.trust.registration import Credential, Registration, has_credentials

_SHOWN_DIGEST = 12


class ShowClients(Request, frozen=True, kw_only=True):
    """One client, or all of them."""

    client_id: Name | None = None


class ShownCredential(msgspec.Struct, frozen=True, kw_only=True):
    """One registered secret or key; times are seconds since the epoch."""

    id: str
    """The key's `kid`, or how the SHA-256 of the secret begins."""
    since: float
    ends: float | None
    valid: bool


class ShownClient(msgspec.Struct, frozen=True, kw_only=True):
    """One client."""

    client_id: str
    method: str | None
    """`private_key_jwt` or `client_secret`; `None`: it cannot authenticate."""
    source: str | None
    """`document` or `registered`; `None`: no credentials are known."""
    credentials: list[ShownCredential]
    """Of those that are registered; the document shows its own."""
    disabled_since: float | None


class ShownClients(msgspec.Struct, frozen=True, kw_only=True):
    """Every client, by name."""

    clients: list[ShownClient]


async def show(context: AdminContext, request: ShowClients, _: str) -> ShownClients:
    """Tell of every client how it proves who it is, and whether it may."""
    now = context.clock.now()
    services = document_of(await context.trust_store.applied()).services
    registered = {found.client_id: found for found in await context.trust_store.registrations()}
    if request.client_id is not None and request.client_id not in services:
        raise RegistrationRefused("no service of the document in force has this name: watchword clients show")
    names = sorted(services) if request.client_id is None else [request.client_id]
    return ShownClients(
        clients=[_shown(services[name], registered.get(name, Registration(name)), now) for name in names]
    )


def _shown(service: Service, registration: Registration, now: float) -> ShownClient:
    own = has_credentials(service)
    method: str | None = _METHODS[registration.kind]
    if own:
        method = "client_secret" if service.secret_sha256 else "private_key_jwt"
        if service.jwks is not None and not len(service.jwks):
            method = None
    return ShownClient(
        client_id=service.client_id,
        method=method,
        source="document" if own else "registered" if registration.credentials else None,
        credentials=[] if own else [_credential(found, now) for found in registration.credentials],
        disabled_since=registration.disabled_since,
    )


_METHODS: Mapping[str | None, str | None] = {
    "secret": "client_secret",
    "keys": "private_key_jwt",
    None: None,
}


def _credential(found: Credential, now: float) -> ShownCredential:
    name = found.id if found.jwk is not None else found.id[:_SHOWN_DIGEST]
    return ShownCredential(id=name, since=found.since, ends=found.ends, valid=found.valid(now))

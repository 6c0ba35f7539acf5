"""Clients beside the trust document: credentials that are registered here, and clients that are disabled."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import msgspec

from watchword.audit.event import AuditEvent
from watchword.authority.admin.client_view import ShowClients, show
from watchword.authority.admin.operation import AdminContext, Name, Operation, Request, demand_confirmation
from watchword.authority.applied_trust import document_of, stored_trust
from watchword.errors import OperationInvalid, RegistrationRefused
from watchword.tokens.jwk_set import JWKSet
from watchword.trust.client_keys import read_key_set
from watchword.trust.problems import Place, Unreadable
from watchword.trust.registration import Registration, has_credentials
from watchword.trust.service_table import MAX_LIFETIME

MAX_OVERLAP = 90 * 86_400.0
"""Seconds for which an old secret or key may stay valid."""

_Digest = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_Overlap = Annotated[float, msgspec.Meta(ge=0, le=MAX_OVERLAP)]


class ChangedClient(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a client."""

    client_id: str
    old_until: float | None = None
    """When the credentials before are valid no more, seconds since the epoch; `None`: there were none."""
    tokens_end_within: float | None = None
    """Of a client that lost its credentials: seconds until services that verify by themselves accept no token
    that it got before."""


class AddClient(Request, frozen=True, kw_only=True):
    """A service of the document, and one kind of credentials: the digest of a secret, or public keys."""

    client_id: Name
    secret_sha256: _Digest | None = None
    jwks: dict[str, Any] | None = None


async def add(context: AdminContext, request: AddClient, operator: str) -> ChangedClient:
    """Register the first credentials of a service; the secret itself is never sent here."""
    now = context.clock.now()
    registration = await _registered_here(context, request.client_id)
    if request.secret_sha256 is not None and request.jwks is None:
        registration = registration.with_secret(request.secret_sha256, now)
    elif request.jwks is not None and request.secret_sha256 is None:
        registration = registration.with_keys(_keys(request.jwks).keys, now)
    else:
        raise OperationInvalid("clients.add: expected one of secret_sha256 and jwks")
    await _save(context, registration, "client.added", operator, reason=registration.kind)
    return ChangedClient(client_id=request.client_id)


class RotateSecret(Request, frozen=True, kw_only=True):
    """The digest of a new secret, and for how many seconds the old one stays valid."""

    client_id: Name
    secret_sha256: _Digest
    old_for: _Overlap


async def rotate_secret(context: AdminContext, request: RotateSecret, operator: str) -> ChangedClient:
    """Register another secret; the old one ends when it is said."""
    now = context.clock.now()
    registration = await _registered_here(context, request.client_id)
    changed = registration.rotated(request.secret_sha256, now, now + request.old_for)
    return await _replaced(context, changed, "client.secret_rotated", operator, until=now + request.old_for)


class SetKeys(Request, frozen=True, kw_only=True):
    """All public keys that a client has from now on, and for how many seconds those before stay valid."""

    client_id: Name
    jwks: dict[str, Any]
    old_for: _Overlap


async def set_keys(context: AdminContext, request: SetKeys, operator: str) -> ChangedClient:
    """Replace the keys of a client; those that are not in the new set end when it is said."""
    now = context.clock.now()
    registration = await _registered_here(context, request.client_id)
    changed = registration.with_other_keys(_keys(request.jwks).keys, now, now + request.old_for)
    return await _replaced(context, changed, "client.keys_set", operator, until=now + request.old_for)


class NamedClient(Request, frozen=True, kw_only=True):
    """One client."""

    client_id: Name


class ConfirmedClient(Request, frozen=True, kw_only=True):
    """One client, named twice."""

    client_id: Name
    confirm: str | None = None


async def disable(context: AdminContext, request: ConfirmedClient, operator: str) -> ChangedClient:
    """Refuse a client from now on, with whatever credentials, and the tokens that name it."""
    demand_confirmation(request.client_id, request.confirm)
    registration, _ = await _registration(context, request.client_id)
    if registration.disabled_since is not None:
        raise RegistrationRefused(f"{request.client_id} is disabled already")
    changed = replace(registration, disabled_since=context.clock.now())
    await _save(context, changed, "client.disabled", operator)
    return ChangedClient(client_id=request.client_id, tokens_end_within=float(MAX_LIFETIME))


async def enable(context: AdminContext, request: NamedClient, operator: str) -> ChangedClient:
    """Let a disabled client in again, with the credentials that it had."""
    registration, _ = await _registration(context, request.client_id)
    if registration.disabled_since is None:
        raise RegistrationRefused(f"{request.client_id} is not disabled")
    await _save(context, replace(registration, disabled_since=None), "client.enabled", operator)
    return ChangedClient(client_id=request.client_id)


async def remove(context: AdminContext, request: ConfirmedClient, operator: str) -> ChangedClient:
    """Forget the registered credentials of a client: the document may have others."""
    demand_confirmation(request.client_id, request.confirm)
    registration, _ = await _registration(context, request.client_id)
    if not registration.credentials:
        raise RegistrationRefused(f"no credentials are registered for {request.client_id}")
    await _save(context, registration.without_credentials(), "client.removed", operator)
    return ChangedClient(client_id=request.client_id, tokens_end_within=float(MAX_LIFETIME))


async def _registered_here(context: AdminContext, client_id: str) -> Registration:
    """Return the registration of a service whose credentials are not in the document.

    Raises:
        RegistrationRefused: there is no such service, or the document has its credentials.
    """
    registration, in_document = await _registration(context, client_id)
    if in_document:
        raise RegistrationRefused(
            f"the trust document has the credentials of {client_id} itself: change them there, or take the"
            " line out and apply it first"
        )
    return registration


async def _registration(context: AdminContext, client_id: str) -> tuple[Registration, bool]:
    """Return the registration of a service, and whether the document has its credentials.

    Raises:
        RegistrationRefused: the document in force has no such service.
    """
    service = document_of(await context.trust_store.applied()).services.get(client_id)
    if service is None:
        raise RegistrationRefused(
            "no service of the document in force has this name: apply a document that has its table first"
        )
    found = {registered.client_id: registered for registered in await context.trust_store.registrations()}
    return found.get(client_id, Registration(client_id)), has_credentials(service)


async def _replaced(
    context: AdminContext, changed: Registration, kind: str, operator: str, *, until: float
) -> ChangedClient:
    await _save(context, changed, kind, operator, reason=f"old_until {until:.0f}")
    return ChangedClient(client_id=changed.client_id, old_until=until)


async def _save(
    context: AdminContext, changed: Registration, kind: str, operator: str, *, reason: str | None = None
) -> None:
    """Write a registration and its event down; the next request is decided by it."""
    event = AuditEvent(
        type=kind, time=context.clock.now(), actor=operator, client=changed.client_id, reason=reason
    )
    await context.trust_store.register(changed, event=event)
    context.trust.replace(await stored_trust(context.trust_store))


def _keys(jwks: dict[str, Any]) -> JWKSet:
    """Return public keys, each usable and with a name of its own.

    Raises:
        OperationInvalid: every mistake.
    """
    problems: list[str] = []
    try:
        keys = read_key_set(jwks, Place(problems, "jwks"))
    except Unreadable:
        keys = JWKSet(())
    if not problems and not keys.keys:
        problems.append("jwks: expected at least one key, found none")
    if problems:
        raise OperationInvalid("; ".join(problems))
    return keys


OPERATIONS: Mapping[str, Operation] = {
    "clients.show": Operation(ShowClients, show),
    "clients.add": Operation(AddClient, add, changes=True),
    "clients.rotate-secret": Operation(RotateSecret, rotate_secret, changes=True),
    "clients.set-keys": Operation(SetKeys, set_keys, changes=True),
    "clients.disable": Operation(ConfirmedClient, disable, changes=True, announced=True),
    "clients.enable": Operation(NamedClient, enable, changes=True),
    "clients.remove": Operation(ConfirmedClient, remove, changes=True, announced=True),
}

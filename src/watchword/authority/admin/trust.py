"""The trust document: what is in force, what another one would change, and putting that in force."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from watchword.authority.admin.operation import AdminContext, Nothing, Operation, Request
from watchword.authority.applied_trust import apply_trust, demand_one_source, document_of, stored_trust
from watchword.errors import ChangedMeanwhile
from watchword.trust import document as trust_document
from watchword.trust.diff import Difference, differences
from watchword.trust.model import TrustDocument
from watchword.trust.problems import below
from watchword.trust.registration import Registration, in_force


class ShownTrust(msgspec.Struct, frozen=True, kw_only=True):
    """The document in force."""

    digest: str
    applied_at: float | None
    """Seconds since the epoch; `None`: none was ever applied, and the empty one denies everything."""
    document: msgspec.Raw
    """In its JSON form: every default written out, keys inside."""
    warnings: tuple[str, ...]


async def show(context: AdminContext, _: Nothing, __: str) -> ShownTrust:
    """Return the document in force."""
    applied = await context.trust_store.applied()
    document = document_of(applied)
    return ShownTrust(
        digest=trust_document.digest(document),
        applied_at=None if applied is None else applied.applied_at,
        document=msgspec.Raw(trust_document.to_json(document)),
        warnings=trust_document.warnings(in_force(document, await context.trust_store.registrations())),
    )


class PlanTrust(Request, frozen=True, kw_only=True):
    """A document in its JSON form; files that it names cannot come with it."""

    document: msgspec.Raw


class PlannedTrust(msgspec.Struct, frozen=True, kw_only=True):
    """What would change."""

    digest: str
    """Of the document that was planned."""
    in_force: str
    """Digest of the document that it was compared with; `apply` can demand that it still is in force."""
    changes: tuple[Difference, ...]
    warnings: tuple[str, ...]


async def plan(context: AdminContext, request: PlanTrust, _: str) -> PlannedTrust:
    """Say what differs between the document in force and this one; nothing is applied."""
    return await _compared(context, _read(request.document))


class ApplyTrust(Request, frozen=True, kw_only=True):
    """A document in its JSON form, and what it may replace."""

    document: msgspec.Raw
    expect: str | None = None
    """Digest of the document that must be in force until now."""
    from_file: bool = False
    """Whether the file of the setting `TRUST` says the same, so that a restart need not apply it again."""


async def apply(context: AdminContext, request: ApplyTrust, operator: str) -> PlannedTrust:
    """Put this document in force: one transaction, one event, and the next request is decided by it."""
    document = _read(request.document)
    planned = await _compared(context, document)
    if request.expect not in (None, planned.in_force):
        raise ChangedMeanwhile(
            f"expected the document with digest {request.expect} in force, found {planned.in_force}: somebody"
            " applied another one; nothing was changed, plan again"
        )
    await apply_trust(
        context.trust_store,
        document,
        by=operator,
        now=context.clock.now(),
        from_file=request.from_file,
    )
    context.trust.replace(await stored_trust(context.trust_store))
    return planned


async def _compared(context: AdminContext, document: TrustDocument) -> PlannedTrust:
    old = document_of(await context.trust_store.applied())
    registered = await context.trust_store.registrations()
    demand_one_source(document, registered)
    return PlannedTrust(
        digest=trust_document.digest(document),
        in_force=trust_document.digest(old),
        changes=differences(old, document),
        warnings=trust_document.warnings(in_force(document, registered)) + _ending(document, registered),
    )


def _ending(document: TrustDocument, registered: Iterable[Registration]) -> tuple[str, ...]:
    """Return a warning for each registration that ends because its service goes."""
    return tuple(
        f"{below('services', registration.client_id)}: it goes, and its registered credentials end with it"
        for registration in registered
        if registration.credentials and registration.client_id not in document.services
    )


def _read(raw: Any) -> TrustDocument:
    return trust_document.from_json(bytes(raw))


OPERATIONS: Mapping[str, Operation] = {
    "trust.show": Operation(Nothing, show),
    "trust.plan": Operation(PlanTrust, plan),
    "trust.apply": Operation(ApplyTrust, apply, changes=True),
}

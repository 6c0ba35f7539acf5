"""Which trust document is in force, and putting another one in its place: one transaction, one event."""

from collections.abc import Iterable

from watchword.audit.event import AuditEvent
from watchword.errors import StoreCorrupt, TrustError
from watchword.grants.stores import NO_DOCUMENT, AppliedTrust, TrustStore
from watchword.trust import document as trust_document
from watchword.trust.model import TrustDocument
from watchword.trust.problems import below
from watchword.trust.registration import Registration, has_credentials, in_force

APPLIED = "trust.applied"


async def stored_trust(store: TrustStore) -> TrustDocument:
    """Return what requests are decided by: the document in force, with what is registered beside it.

    Whatever stands in a file; the empty one if none was ever applied.

    Raises:
        StoreError: the store cannot be read.
    """
    return in_force(document_of(await store.applied()), await store.registrations())


def document_of(applied: AppliedTrust | None) -> TrustDocument:
    """Return what was applied as a document.

    Raises:
        StoreCorrupt: it cannot be read.
    """
    if applied is None:
        return trust_document.EMPTY
    try:
        return trust_document.from_json(applied.document)
    except TrustError as error:
        raise StoreCorrupt(f"the stored trust document cannot be read: {error}") from error


async def apply_trust(
    store: TrustStore,
    document: TrustDocument,
    *,
    by: str,
    now: float,
    from_file: bool,
) -> str:
    """Put a document in force and return its digest.

    Args:
        store: that remembers it.
        document: without a mistake.
        by: who does it: the actor of the event.
        now: seconds since the epoch.
        from_file: whether it is what the file of the setting `TRUST` says now. Otherwise what that file said
            when it was applied last still counts as known, so that a restart undoes nothing.

    Registered credentials of a service that the document does not have any more end with it: whoever gets the
    same name later starts from nothing.

    Raises:
        TrustError: the document has credentials of services for which others are registered.
        ChangedMeanwhile: somebody applied another one at the same moment; nothing was changed.
        StoreError: nothing was changed.
    """
    applied, registered = await store.applied(), await store.registrations()
    demand_one_source(document, registered)
    ended = [
        (registration.without_credentials(), _removed(registration, by, now))
        for registration in registered
        if registration.credentials and registration.client_id not in document.services
    ]
    digest = trust_document.digest(document)
    known = None if applied is None else applied.source_digest
    await store.apply(
        trust_document.to_json(document),
        digest=digest,
        source_digest=digest if from_file else known,
        event=AuditEvent(type=APPLIED, time=now, actor=by, reason=digest),
        expected=NO_DOCUMENT if applied is None else applied.digest,
        ended=ended,
    )
    return digest


def demand_one_source(document: TrustDocument, registered: Iterable[Registration]) -> None:
    """Demand that no service has credentials both in the document and beside it.

    Raises:
        TrustError: every one that has.
    """
    problems = [
        f"{below('services', registration.client_id)}: its credentials are registered by watchword clients:"
        f" leave them out, or run: watchword clients remove {registration.client_id}"
        for registration in registered
        if registration.credentials
        and registration.client_id in document.services
        and has_credentials(document.services[registration.client_id])
    ]
    if problems:
        raise TrustError(problems)


def _removed(registration: Registration, by: str, now: float) -> AuditEvent:
    return AuditEvent(type="client.removed", time=now, actor=by, client=registration.client_id)

"""Which trust document is in force, and putting another one in its place: one transaction, one event."""

from watchword.audit.event import AuditEvent
from watchword.errors import StoreCorrupt, TrustError
from watchword.grants.stores import NO_DOCUMENT, AppliedTrust, TrustStore
from watchword.trust import document as trust_document
from watchword.trust.model import TrustDocument

APPLIED = "trust.applied"


async def stored_trust(store: TrustStore) -> TrustDocument:
    """Return the document in force, whatever stands in a file; the empty one if none was ever applied.

    Raises:
        StoreError: the store cannot be read.
    """
    return document_of(await store.applied())


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

    Raises:
        ChangedMeanwhile: somebody applied another one at the same moment; nothing was changed.
        StoreError: nothing was changed.
    """
    applied = await store.applied()
    digest = trust_document.digest(document)
    known = None if applied is None else applied.source_digest
    await store.apply(
        trust_document.to_json(document),
        digest=digest,
        source_digest=digest if from_file else known,
        event=AuditEvent(type=APPLIED, time=now, actor=by, reason=digest),
        expected=NO_DOCUMENT if applied is None else applied.digest,
    )
    return digest

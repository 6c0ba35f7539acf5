"""Which trust document a server goes by: a new file is applied at start, and what others apply is seen."""

from pathlib import Path

from watchword.authority.applied_trust import apply_trust, stored_trust
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import Clock
from watchword.grants.stores import TrustStore
from watchword.trust import document as trust_document
from watchword.trust.model import TrustDocument


async def trust_at_start(path: Path | None, store: TrustStore, *, issuer: str, clock: Clock) -> TrustDocument:
    """Return the document in force; apply the file first if it is not the file that was applied last.

    Args:
        path: the file of the setting `TRUST`, if there is one.
        store: which document is in force.
        issuer: whose server this is: the actor of the event.
        clock: the event's time.

    Raises:
        TrustError: the file has mistakes; nothing was applied.
        StoreError: the store cannot be read or written.
    """
    document = None if path is None else trust_document.read(path)
    applied = await store.applied()
    if document is not None:
        digest = trust_document.digest(document)
        if applied is None or applied.source_digest != digest:
            await apply_trust(store, document, by=issuer, now=clock.now(), from_file=True)
    return await stored_trust(store)


class StoredTrust:
    """Takes up the document that another process has applied.

    Args:
        store: which document is in force.
        in_force: what this process goes by.
    """

    __slots__ = ("_in_force", "_store", "_version")

    def __init__(self, store: TrustStore, in_force: TrustInForce) -> None:
        self._store = store
        self._in_force = in_force
        self._version: int | None = None

    async def look(self) -> None:
        """Replace the document if there is another one.

        Raises:
            StoreError: it cannot be read; the old one stays in force.
        """
        version = await self._store.version()
        if version != self._version:
            self._in_force.replace(await stored_trust(self._store))
            self._version = version

"""The trust document that counts now; replaced as a whole while the service runs."""

from watchword.trust.model import TrustDocument


class TrustInForce:
    """Holds one document. A request reads it once and is decided by what it read."""

    __slots__ = ("_document",)

    def __init__(self, document: TrustDocument) -> None:
        self._document = document

    @property
    def document(self) -> TrustDocument:
        """The document in force."""
        return self._document

    def replace(self, document: TrustDocument) -> None:
        """Put another document in force; requests that began under the old one end under it."""
        self._document = document

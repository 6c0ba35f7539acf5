"""A body that is made while it is sent, each piece on behalf of the caller (PEP 3333)."""

from collections.abc import Iterable, Iterator
from typing import Any

from watchword.integrations.guard import Visit

_END = object()
_LATER = object()


class CarriedStream:
    """Yields the chunks, each made for the caller of a visit, to the last word of `close`.

    Between the chunks there is no caller, whichever thread iterates.
    """

    __slots__ = ("_chunks", "_first", "_iterator", "_visit")

    def __init__(self, chunks: Iterable[Any], visit: Visit) -> None:
        self._chunks = chunks
        self._visit = visit
        self._first: Any = _LATER
        with visit.running():
            self._iterator = iter(chunks)

    def begin(self) -> None:
        """Make the first chunk already now, so that its errors come now."""
        self._first = self._made()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        chunk, self._first = self._first, _LATER
        if chunk is _LATER:
            chunk = self._made()
        if chunk is _END:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Let the body clean up, for the caller too."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            with self._visit.running():
                close()

    def _made(self) -> Any:
        with self._visit.running():
            return next(self._iterator, _END)

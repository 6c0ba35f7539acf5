"""A transaction that changes nothing, but proves that one can be written durably now."""

from watchword.storage.database import Intent, Statement


def writable() -> Intent[None]:
    """Return an intent that writes what is there already: it fails where a real one would fail."""
    yield Statement("UPDATE installation SET epoch = epoch WHERE id = 1")

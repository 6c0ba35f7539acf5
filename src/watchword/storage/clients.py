"""Registrations of clients beside the trust document, in SQL: a row per client, replaced as a whole."""

from dataclasses import replace

import msgspec

from watchword.errors import ChangedMeanwhile, StoreCorrupt
from watchword.storage.database import Intent, Statement
from watchword.trust.registration import Registration

_ALL = "SELECT registration FROM client ORDER BY client_id"
_FIRST = "INSERT INTO client (client_id, registration, version) VALUES (?1, ?2, 1) ON CONFLICT DO NOTHING"
_NEXT = "UPDATE client SET registration = ?2, version = ?3 WHERE client_id = ?1 AND version = ?3 - 1"

VERSION = "SELECT COALESCE(SUM(version), 0) FROM client"
"""A number that grows with every change: rows stay, and their versions only grow."""


def registrations() -> Intent[tuple[Registration, ...]]:
    """Return every registration, by `client_id`."""
    found = yield Statement(_ALL)
    return tuple(_read(str(text)) for (text,) in found.rows)


def save(registration: Registration) -> Intent[None]:
    """Replace a registration if its version is still the stored one; its new version is one higher.

    Raises:
        ChangedMeanwhile: somebody else changed it.
    """
    version = registration.version + 1
    text = msgspec.json.encode(replace(registration, version=version)).decode()
    values = (registration.client_id, text) if version == 1 else (registration.client_id, text, version)
    done = yield Statement(_FIRST if version == 1 else _NEXT, values)
    if done.changed != 1:
        raise ChangedMeanwhile(
            f"somebody else changed the client {registration.client_id}: look again and decide anew"
        )


def _read(text: str) -> Registration:
    try:
        return msgspec.json.decode(text, type=Registration)
    except msgspec.MsgspecError:
        raise StoreCorrupt("the registration of a client cannot be read") from None

"""Which trust document counts after a start: a new file is applied once, an old one undoes nothing."""

import asyncio

import pytest

from watchword.app.trust_at_start import trust_at_start
from watchword.audit.event import AuditEvent
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import StoreCorrupt, TrustError
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite
from watchword.storage.trust import SqlTrustStore
from watchword.trust import document as trust_document
from watchword.trust.registration import Registration

ISSUER = "https://tokens.example"
ONE = f"""
version = 1
[services.users]
audience = "users"
scopes = ["users:read"]
secret_sha256 = ["{"0a" * 32}"]
"""
TWO = ONE.replace("users:read", "users:write")


def start(folder, text=None):
    """One start of a server: the document in force, and the events that were written until now."""

    async def run():
        database = open_sqlite(folder / "data" / "watchword.db")
        try:
            store = SqlTrustStore(database, writer=database.writer)
            path = None if text is None else folder / "trust.toml"
            if path is not None:
                path.write_text(text)
            document = await trust_at_start(path, store, issuer=ISSUER, clock=SYSTEM_CLOCK)
            events = await SqlLedger(database, writer=database.writer).events()
            return document, [event.type for _, event in events]
        finally:
            await database.aclose()

    return asyncio.run(run())


def apply_by_hand(folder, text, source_digest):
    async def run():
        database = open_sqlite(folder / "data" / "watchword.db")
        store = SqlTrustStore(database, writer=database.writer)
        document = trust_document.parse(text, folder=folder)
        event = AuditEvent(type="trust.applied", time=0)
        await store.apply(
            trust_document.to_json(document),
            digest=trust_document.digest(document),
            source_digest=source_digest,
            event=event,
        )
        await database.aclose()

    asyncio.run(run())


def test_without_any_document_everything_is_denied(tmp_path):
    assert start(tmp_path) == (trust_document.EMPTY, [])


def test_a_new_file_is_applied_with_one_event_and_an_unchanged_one_with_none(tmp_path):
    document, events = start(tmp_path, ONE)
    assert (set(document.services), events) == ({"users"}, ["trust.applied"])
    assert start(tmp_path, ONE + "# a comment changes nothing\n") == (document, events)
    changed, events = start(tmp_path, TWO)
    assert changed != document
    assert len(events) == 2


def test_without_the_file_the_last_document_counts(tmp_path):
    document, _ = start(tmp_path, ONE)
    assert start(tmp_path) == (document, ["trust.applied"])


def test_an_unchanged_file_never_undoes_what_was_applied_later(tmp_path):
    document, _ = start(tmp_path, ONE)
    apply_by_hand(tmp_path, TWO, trust_document.digest(document))
    later, events = start(tmp_path, ONE)
    assert later.services["users"].scopes == {"users:write"}
    assert len(events) == 2


@pytest.mark.threat(246)
def test_a_file_with_mistakes_applies_nothing(tmp_path):
    document, _ = start(tmp_path, ONE)
    with pytest.raises(TrustError):
        start(tmp_path, ONE + "colour = 'red'\n")
    assert start(tmp_path) == (document, ["trust.applied"])


def test_a_stored_document_that_cannot_be_read_is_no_empty_one(tmp_path):
    start(tmp_path, ONE)
    import sqlite3

    other = sqlite3.connect(tmp_path / "data" / "watchword.db", isolation_level=None)
    other.execute("UPDATE trust_document SET document = CAST('{' AS BLOB)")
    other.close()
    with pytest.raises(StoreCorrupt):
        start(tmp_path)


def register(folder, client_id="users"):
    async def run():
        database = open_sqlite(folder / "data" / "watchword.db")
        store = SqlTrustStore(database, writer=database.writer)
        added = AuditEvent(type="client.added", time=0, client=client_id)
        await store.register(Registration(client_id).with_secret("b" * 64, 0), event=added)
        await database.aclose()

    asyncio.run(run())


def test_what_is_registered_beside_the_document_is_in_force_after_a_start(tmp_path):
    bare = ONE.replace("secret_sha256", "# secret_sha256")
    start(tmp_path, bare)
    register(tmp_path)
    document, _ = start(tmp_path, bare)
    assert document.services["users"].secret_sha256 == ("b" * 64,)


@pytest.mark.threat(95)
def test_a_file_that_brings_credentials_for_a_registered_service_keeps_the_server_from_starting(tmp_path):
    start(tmp_path, ONE.replace("secret_sha256", "# secret_sha256"))
    register(tmp_path)
    with pytest.raises(TrustError, match=r"services\.users: its credentials are registered"):
        start(tmp_path, ONE)


@pytest.mark.threat(102)
def test_registered_credentials_end_with_their_service(tmp_path):
    bare = ONE.replace("secret_sha256", "# secret_sha256")
    start(tmp_path, bare)
    register(tmp_path)
    _, events = start(tmp_path, "version = 1\n")
    assert events[-2:] == ["trust.applied", "client.removed"]
    document, _ = start(tmp_path, bare)
    assert document.services["users"].secret_sha256 == ()

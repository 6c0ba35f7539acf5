"""Keys in the database: sealed, with their events in one transaction, and nobody puts an old one back."""

import asyncio
import json
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from watchword.clock import SYSTEM_CLOCK
from watchword.errors import KeyRejected, KeyringConflict, KeyringError, SealBroken, SealingKeyUnusable
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import Keyring, KeyState
from watchword.keys.rotation import RotationPolicy, Wait
from watchword.keys.seal import Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keys.store import KeyStore
from watchword.storage.database import Intent, Statement
from watchword.storage.events import events
from watchword.storage.key_events import KeyEvents
from watchword.storage.keys import SqlKeyStore
from watchword.storage.sqlite import SqliteDatabase, open_sqlite
from watchword.testing.key_stores import KeyStoreBehaviour
from watchword.tokens.private_key import PrivateKey

URL = "https://issuer.example"
KEY = SealingKey.from_text(new_sealing_key())
SEAL = Seal(KEY)


def store(database: SqliteDatabase, seal: Seal = SEAL, purpose: str = "tokens") -> SqlKeyStore:
    events = KeyEvents(URL, database.writer, SYSTEM_CLOCK)
    return SqlKeyStore(database, seal, events, purpose=purpose)


class TestSqlKeyStore(KeyStoreBehaviour):
    sealed = True

    @pytest.fixture(autouse=True)
    def _close(self) -> Iterator[None]:
        self.databases: dict[Path, SqliteDatabase] = {}
        yield
        for database in self.databases.values():
            asyncio.run(database.aclose())

    def open(self, place: Path) -> KeyStore:
        if place not in self.databases:
            self.databases[place] = open_sqlite(place / "data" / "w.db")
        return store(self.databases[place])


@pytest.fixture
def database(path: Path) -> Iterator[SqliteDatabase]:
    opened = open_sqlite(path)
    yield opened
    asyncio.run(opened.aclose())


@pytest.fixture
def kept(database: SqliteDatabase) -> Keyring:
    """A retired, an active and a prepared key."""
    keys = [PrivateKey.generate() for _ in range(3)]
    keyring = Keyring().prepare(keys[0], 1).activate(keys[0].kid, 2).prepare(keys[1], 3)
    keyring = store(database).save(keyring).activate(keys[1].kid, 4)
    return store(database).save(keyring.prepare(keys[2], 5))


def told(database: SqliteDatabase) -> list[tuple[str, str | None, str | None]]:
    found = database.read_blocking(events(0, 1_000))
    return [(event.type, event.actor, event.kid) for _, event in found]


def tamper(path: Path, sql: str, *parameters: Any) -> None:
    with sqlite3.connect(path, isolation_level=None) as connection:
        assert connection.execute(sql, parameters).rowcount > 0


def states(keyring: Keyring) -> list[KeyState]:
    return [entry.state for entry in keyring.entries]


# --- one transaction ------------------------------------------------------------------------------


def test_each_change_and_who_made_it_is_in_the_transaction_of_the_change(database: SqliteDatabase) -> None:
    issuer = Issuer(URL, store(database))
    first = issuer.keyring.active.kid
    second = issuer.prepare_key(by="operator|7")
    issuer.activate_key(second, by="operator|7")
    assert told(database) == [
        ("key.prepared", URL, first),
        ("key.activated", URL, first),
        ("key.prepared", "operator|7", second),
        ("key.retired", "operator|7", first),
        ("key.activated", "operator|7", second),
    ]


@pytest.mark.parametrize("table", ["audit_event", "keyring", "keyring_record"])
def test_a_change_whose_event_or_record_is_refused_did_not_happen(
    database: SqliteDatabase, kept: Keyring, table: str
) -> None:
    before, said = store(database).load(), told(database)
    database.run_blocking(
        _one(f"""
        CREATE TEMP TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'full'); END
    """)
    )
    changing = store(database)
    with pytest.raises(KeyringError, match="cannot be written"):
        changing.save(before.prepare(PrivateKey.generate(), 6))
    for reader in (changing, store(database)):
        assert [e.kid for e in reader.load().entries] == [e.kid for e in before.entries]
        assert reader.load().version == before.version
    assert told(database) == said
    database.run_blocking(_one("DROP TRIGGER full"))
    assert changing.save(before.prepare(PrivateKey.generate(), 6)).version == before.version + 1


def test_a_stale_keyring_leaves_no_event(database: SqliteDatabase, kept: Keyring) -> None:
    said = told(database)
    with pytest.raises(KeyringConflict):
        store(database).save(Keyring(kept.entries, kept.version - 1).revoke(kept.active.kid, 9))
    assert told(database) == said


def test_two_processes_rotate_and_each_step_is_done_and_told_once(database: SqliteDatabase) -> None:
    issuers = [Issuer(URL, store(database)) for _ in range(3)]
    for issuer in issuers:
        while not isinstance(issuer.rotate(RotationPolicy()), Wait):
            continue
    assert [kind for kind, _, _ in told(database)] == ["key.prepared", "key.activated", "key.prepared"]


# --- what somebody did to the file ----------------------------------------------------------------


@pytest.mark.threat(150)
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE keyring_record SET record = substr(record, 1, length(record) - 1) WHERE kid = ?1",
        "UPDATE keyring_record SET record = zeroblob(length(record)) WHERE kid = ?1",
        "UPDATE keyring_record SET record ="
        " (SELECT record FROM keyring_record WHERE kid <> ?1) WHERE kid = ?1",
        "DELETE FROM keyring_record WHERE kid = ?1",
    ],
)
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_damaged_record_is_named_and_the_other_keys_work(
    path: Path, database: SqliteDatabase, kept: Keyring, damage: str, index: int
) -> None:
    kid = kept.entries[index].kid
    tamper(path, damage, kid)
    found = store(database).load()
    assert [lost.kid for lost in found.unusable] == [kid]
    others = [entry.kid for entry in kept.entries if entry.kid != kid]
    assert [entry.kid for entry in found.entries] == others
    for entry in found.entries:
        entry.key.public.check(entry.key.alg)(entry.key.sign(b"works"), b"works")


@pytest.mark.threat(150)
def test_a_damaged_record_is_kept_until_it_is_taken_out(
    path: Path, database: SqliteDatabase, kept: Keyring
) -> None:
    kid = kept.active.kid
    (record,) = _records(path, kid)
    tamper(path, "UPDATE keyring_record SET record = zeroblob(300) WHERE kid = ?1", kid)
    issuer = Issuer(URL, store(database))
    heir = next(e.kid for e in issuer.keyring.entries if e.state is KeyState.PREPARED)
    issuer.activate_key(heir)  # as the planner does when nobody signs
    assert store(database).load().states[kid] is KeyState.RETIRED
    tamper(path, "UPDATE keyring_record SET record = ?1 WHERE kid = ?2", record, kid)  # from a backup
    assert store(database).load().named(kid).state is KeyState.RETIRED
    tamper(path, "UPDATE keyring_record SET record = zeroblob(300) WHERE kid = ?1", kid)
    issuer.reload()
    issuer.remove_key(kid)
    assert kid not in store(database).load().states
    assert told(database)[-1] == ("key.removed", URL, kid)


def test_nothing_is_begun_anew_where_no_record_opens(
    path: Path, database: SqliteDatabase, kept: Keyring
) -> None:
    tamper(path, "UPDATE keyring_record SET record = zeroblob(300)")
    with pytest.raises(SealBroken, match=kept.active.kid):
        Issuer(URL, store(database))
    assert _records(path, kept.active.kid) == [bytes(300)]


@pytest.mark.threat(150, 151)
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["keys"][0].update(state="active"),
        lambda state: state["keys"][0].update(generation=1),
        lambda state: state["keys"][0].update(since=9.0),
        lambda state: state["keys"].pop(),
        lambda state: state.update(version=99),
        lambda state: state.update(store="elsewhere"),
        lambda state: state.update(purpose="audit"),
        lambda state: state["keys"].reverse(),
    ],
)
def test_a_state_that_was_changed_is_refused(
    path: Path, database: SqliteDatabase, kept: Keyring, change: Any
) -> None:
    with sqlite3.connect(path) as connection:
        state = json.loads(connection.execute("SELECT state FROM keyring").fetchone()[0])
    change(state)
    tamper(path, "UPDATE keyring SET state = ?1", json.dumps(state, separators=(",", ":")))
    with pytest.raises(KeyringError, match="the keyring for tokens"):
        store(database).load()


@pytest.mark.threat(151)
def test_an_old_record_or_an_old_state_put_back_is_refused(
    path: Path, database: SqliteDatabase, kept: Keyring
) -> None:
    revoked = kept.entries[0].kid
    with sqlite3.connect(path) as connection:
        old_state = connection.execute("SELECT version, state, stamp FROM keyring").fetchone()
        old = dict(connection.execute("SELECT kid, record FROM keyring_record").fetchall())
    running = store(database)
    running.save(running.load().revoke(revoked, 6))
    (new,) = _records(path, revoked)

    tamper(path, "UPDATE keyring_record SET record = ?1 WHERE kid = ?2", old[revoked], revoked)
    assert [lost.kid for lost in store(database).load().unusable] == [revoked]
    tamper(path, "UPDATE keyring_record SET record = ?1 WHERE kid = ?2", new, revoked)

    tamper(path, "UPDATE keyring SET version = ?1, state = ?2, stamp = ?3", *old_state)
    with pytest.raises(SealBroken):
        store(database).load()

    for kid, record in old.items():
        tamper(path, "UPDATE keyring_record SET record = ?1 WHERE kid = ?2", record, kid)
    with pytest.raises(SealBroken, match="put an old one back"):
        running.load()  # whoever has seen a later version does not go back


@pytest.mark.threat(153)
def test_without_the_right_sealing_key_nothing_is_opened_and_nothing_is_made(
    path: Path, database: SqliteDatabase, kept: Keyring
) -> None:
    other = Seal(SealingKey.from_text(new_sealing_key()))
    with pytest.raises(SealingKeyUnusable, match=KEY.name):
        Issuer(URL, store(database, other))
    assert store(database).load().active.kid == kept.active.kid


@pytest.mark.threat(153)
def test_the_sealing_key_changes_in_one_commit_and_both_read_until_then(
    path: Path, database: SqliteDatabase, kept: Keyring
) -> None:
    new = SealingKey.from_text(new_sealing_key())
    both = store(database, Seal(new, KEY))
    assert both.load().active.kid == kept.active.kid
    assert store(database).load().active.kid == kept.active.kid
    said = told(database)
    both.save(both.load())
    assert told(database) == said
    assert store(database, Seal(new)).load().states == kept.states
    with pytest.raises(SealingKeyUnusable):
        store(database).load()


@pytest.mark.threat(161)
def test_a_key_has_one_purpose(path: Path, database: SqliteDatabase, kept: Keyring) -> None:
    audit = store(database, purpose="audit")
    assert audit.load() == Keyring()
    with pytest.raises(KeyRejected, match="tokens"):
        audit.save(Keyring().prepare(kept.active.key, 1))
    own = PrivateKey.generate("EdDSA")
    audit.save(Keyring().prepare(own, 1))
    with pytest.raises(KeyRejected, match="audit"):
        store(database).save(
            kept.prepare(PrivateKey.from_der(own.insecure_private_der(), alg="EdDSA", kid="x"), 1)
        )
    assert [entry.kid for entry in audit.load().entries] == [own.kid]
    record = _records(path, own.kid)[0]
    tamper(path, "UPDATE keyring_record SET record = ?1 WHERE kid = ?2", record, kept.active.kid)
    assert [lost.kid for lost in store(database).load().unusable] == [kept.active.kid]


@pytest.mark.threat(155)
def test_no_traceback_with_variables_shows_a_key(path: Path, database: SqliteDatabase, kept: Keyring) -> None:
    key = PrivateKey.generate("EdDSA")
    der = key.insecure_private_der()
    errors = []
    with pytest.raises(KeyringConflict) as refused:
        store(database).save(Keyring(version=3).prepare(key, 1))
    errors.append(refused.value)
    database.run_blocking(
        _one("CREATE TEMP TRIGGER full BEFORE INSERT ON keyring BEGIN SELECT RAISE(ABORT, 'full'); END")
    )
    with pytest.raises(KeyringError) as failed:
        store(database).save(kept.prepare(key, 1))
    errors.append(failed.value)
    tamper(path, "UPDATE keyring_record SET record = zeroblob(300)")
    with pytest.raises(SealBroken) as broken:
        store(database).load()
    errors.append(broken.value)
    for error in errors:
        frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack[1:]
        text = "\n".join(str(frame.locals) for frame in frames)
        assert "'keyring': " in text or "'state': " in text
        assert repr(der[-32:])[2:40] not in text
        assert "BEGIN" not in text


@pytest.mark.threat(163)
def test_a_dump_has_no_key_in_clear(path: Path, database: SqliteDatabase, kept: Keyring) -> None:
    with sqlite3.connect(path) as connection:
        dump = "\n".join(connection.iterdump())
    for entry in kept.entries:
        der = entry.key.insecure_private_der()
        assert der[36:60].hex().upper() not in dump.upper()
    assert "PRIVATE" not in dump


def _records(path: Path, kid: str) -> list[bytes]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT record FROM keyring_record WHERE kid = ?", (kid,)).fetchall()
    return [record for (record,) in found]


def _one(sql: str) -> Intent[None]:
    yield Statement(sql)

"""Sealed keys in files: the contract of every store, and what somebody did to the folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import KeyringError, SealBroken, SealingKeyUnusable
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import Keyring, KeyState
from watchword.keys.seal import Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keys.store import KeyStore
from watchword.keystores.files import FileKeyStore
from watchword.testing.key_stores import KeyStoreBehaviour
from watchword.tokens.private_key import PrivateKey

ISSUER = "https://issuer.example"
KEY = SealingKey.from_text(new_sealing_key())
SEAL = Seal(KEY)


class TestSealedFileKeyStore(KeyStoreBehaviour):
    sealed = True

    def open(self, place: Path) -> KeyStore:
        return FileKeyStore(place / "keys", seal=SEAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def kept(folder: Path) -> Keyring:
    """A retired, an active and a prepared key."""
    keys = [PrivateKey.generate() for _ in range(3)]
    keyring = Keyring().prepare(keys[0], 1).activate(keys[0].kid, 2).prepare(keys[1], 3)
    keyring = store(folder).save(keyring).activate(keys[1].kid, 4)
    return store(folder).save(keyring.prepare(keys[2], 5))


def store(folder: Path) -> FileKeyStore:
    return FileKeyStore(folder, seal=SEAL)


def record(folder: Path, kid: str) -> Path:
    (found,) = folder.glob(f"{kid}.*.sealed")
    return found


@pytest.mark.threat(150, 151)
@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("damage", ["cut", "flipped", "exchanged", "empty", "gone"])
def test_a_damaged_file_is_named_and_the_other_keys_work(
    folder: Path, kept: Keyring, damage: str, index: int
) -> None:
    kid = kept.entries[index].kid
    path = record(folder, kid)
    content = path.read_bytes()
    if damage == "cut":
        path.write_bytes(content[:-1])
    elif damage == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "exchanged":
        path.write_bytes(record(folder, kept.entries[index - 1].kid).read_bytes())
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    found = store(folder).load()
    assert [lost.kid for lost in found.unusable] == [kid]
    assert [entry.kid for entry in found.entries] == [e.kid for e in kept.entries if e.kid != kid]
    # what cannot be opened is kept as it is, and comes back with a backup
    saved = store(folder).save(found.prepare(PrivateKey.generate(), 6))
    assert saved.states[kid] == kept.states[kid]
    path.write_bytes(content)
    path.chmod(0o600)
    assert store(folder).load().named(kid).key.public == kept.entries[index].key.public


@pytest.mark.threat(151)
def test_an_old_state_put_back_is_refused(folder: Path, kept: Keyring) -> None:
    state, old = folder / "keyring.json", (folder / "keyring.json").read_bytes()
    records = {path.name: path.read_bytes() for path in folder.glob("*.sealed")}
    running = store(folder)
    running.save(running.load().revoke(kept.entries[0].kid, 6))
    state.write_bytes(old)
    with pytest.raises(SealBroken):
        store(folder).load()  # the records of that time are gone
    for name, content in records.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    with pytest.raises(SealBroken, match="put an old one back"):
        running.load()  # and whoever has seen a later version does not go back


@pytest.mark.threat(150)
@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["sealed"]["keys"][0].update(state="active"),
        lambda file: file["sealed"]["keys"][0].update(since=9.0),
        lambda file: file["sealed"]["keys"].pop(),
        lambda file: file["sealed"].update(version=9),
        lambda file: file["sealed"].update(purpose="audit"),
        lambda file: file["sealed"].update(store="elsewhere"),
        lambda file: file.update(stamp="AAAA"),
        lambda file: file.update(stamp="!"),
        lambda file: file.update(format=3),
        lambda file: file.update(more=1),
    ],
)
def test_a_state_that_was_changed_is_refused(folder: Path, kept: Keyring, change: Any) -> None:
    path = folder / "keyring.json"
    file = json.loads(path.read_text())
    change(file)
    path.write_text(json.dumps(file))
    with pytest.raises(KeyringError, match=r"keyring\.json"):
        store(folder).load()


@pytest.mark.threat(153)
def test_without_the_right_sealing_key_nothing_is_opened_and_nothing_is_made(
    folder: Path, kept: Keyring
) -> None:
    other = Seal(SealingKey.from_text(new_sealing_key()))
    with pytest.raises(SealingKeyUnusable, match=KEY.name):
        Issuer(ISSUER, FileKeyStore(folder, seal=other))
    with pytest.raises(SealingKeyUnusable, match="no sealing key was given"):
        Issuer(ISSUER, FileKeyStore(folder))
    assert store(folder).load().active.kid == kept.active.kid


@pytest.mark.threat(161)
def test_a_folder_has_one_purpose(folder: Path, kept: Keyring) -> None:
    with pytest.raises(SealBroken, match="audit"):
        FileKeyStore(folder, seal=SEAL, purpose="audit").load()


def test_keys_in_clear_are_taken_over_and_leave_nothing_in_clear(folder: Path) -> None:
    issuer = Issuer(ISSUER, FileKeyStore(folder))
    first = issuer.keyring.active
    taken = Issuer(ISSUER, store(folder))
    assert taken.keyring.active.kid == first.kid
    assert list(folder.glob("*.pem"))  # looking changes nothing
    taken.prepare_key()
    assert not list(folder.glob("*.pem"))
    assert len(list(folder.glob("*.sealed"))) == 2
    assert store(folder).load().named(first.kid).state is KeyState.ACTIVE


@pytest.mark.threat(150)
def test_a_running_store_does_not_go_back_to_keys_in_clear(
    folder: Path, kept: Keyring, tmp_path: Path
) -> None:
    running = store(folder)
    running.load()
    strange = PrivateKey.generate()
    FileKeyStore(tmp_path / "other").save(Keyring().prepare(strange, 1).activate(strange.kid, 1))
    for path in (tmp_path / "other").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
        (folder / path.name).chmod(0o600)
    with pytest.raises(SealBroken, match="sealed before"):
        running.load()

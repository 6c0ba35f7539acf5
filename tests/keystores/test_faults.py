"""Whatever fails, and whenever the process dies: the old keys or the new ones, whole, and never none."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from watchword.app.sealing import FILE, open_seal
from watchword.errors import KeyringError
from watchword.keys.keyring import Keyring
from watchword.keys.seal import RecordName, Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keystores.files import FileKeyStore
from watchword.tokens.private_key import PrivateKey

from .faults import WHEN, Died, failing

OLD, NEW = SealingKey.from_text(new_sealing_key()), SealingKey.from_text(new_sealing_key())
FIRST, SECOND = PrivateKey.generate(), PrivateKey.generate("EdDSA")
BEFORE = Keyring().prepare(FIRST, 1.0).activate(FIRST.kid, 2.0)
AFTER = BEFORE.prepare(SECOND, 3.0).activate(SECOND.kid, 4.0).remove(FIRST.kid)
MOST_CALLS = 200

Stores = tuple[Callable[[Path], FileKeyStore], Callable[[Path], FileKeyStore]]

KINDS: dict[str, Stores] = {
    "plain": (FileKeyStore, FileKeyStore),
    "sealed": (
        lambda folder: FileKeyStore(folder, seal=Seal(OLD)),
        lambda folder: FileKeyStore(folder, seal=Seal(OLD)),
    ),
    "taken over": (FileKeyStore, lambda folder: FileKeyStore(folder, seal=Seal(OLD))),
    "resealed": (
        lambda folder: FileKeyStore(folder, seal=Seal(OLD)),
        lambda folder: FileKeyStore(folder, seal=Seal(NEW, OLD)),
    ),
}
"""Who wrote what is there, and who writes now."""


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # it is counted and fails; nobody pulls a plug here


def reader(folder: Path) -> FileKeyStore:
    return FileKeyStore(folder, seal=Seal(NEW, OLD))


def told(keyring: Keyring) -> list[tuple[str, str]]:
    for entry in keyring.entries:
        entry.key.public.check(entry.key.alg)(entry.key.sign(b"works"), b"works")
    return [(entry.kid, entry.state.value) for entry in keyring.entries]


def clean(folder: Path, files: int) -> bool:
    names = os.listdir(folder)
    return not [name for name in names if name.startswith(".new-")] and len(names) == files


@pytest.mark.threat(149)
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", KINDS)
def test_after_every_moment_of_a_save_the_old_or_the_new_keys_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, when: str
) -> None:
    written_by, writer = KINDS[kind]
    seen, places = set(), set()
    for at in range(MOST_CALLS):
        folder = tmp_path / str(at)
        held = written_by(folder).save(BEFORE)
        store = writer(folder)
        assert told(store.load()) == told(BEFORE)
        outcome = "saved"
        with failing(monkeypatch, at, when) as disk:
            try:
                store.save(Keyring(AFTER.entries, held.version))
            except KeyringError:
                outcome = "refused"
            except Died:
                outcome = "died"
        if not disk.failed_at:
            break
        places.add(disk.failed_at)
        found = reader(folder).load()
        assert told(found) in (told(BEFORE), told(AFTER)), (at, disk.failed_at)
        assert not found.unusable
        assert found.version == (held.version if told(found) == told(BEFORE) else held.version + 1)
        if outcome == "saved":
            assert told(found) == told(AFTER)
        seen.add((outcome, told(found) == told(AFTER)))
        # and whoever comes next goes on, and leaves nothing behind
        again = writer(folder)
        saved = again.save(Keyring(AFTER.entries, again.load().version))
        assert told(reader(folder).load()) == told(AFTER)
        assert saved.version > held.version
        assert clean(folder, 3), os.listdir(folder)
    else:
        raise AssertionError(f"a save takes more than {MOST_CALLS} calls")
    assert {"open", "fchmod", "write", "fsync", "rename", "unlink", "close", "listdir"} <= places
    assert at > 20
    if "dies" in when:
        assert {("died", False)} <= seen
    if when == "dies after":
        assert ("died", True) in seen


@pytest.mark.threat(149)
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("kind", ["plain", "sealed"])
def test_a_first_save_that_was_broken_off_can_be_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, when: str
) -> None:
    _, writer = KINDS[kind]
    for at in range(MOST_CALLS):
        folder = tmp_path / str(at) / "deep" / "keys"
        with failing(monkeypatch, at, when) as disk, suppress(KeyringError, Died):
            writer(folder).save(BEFORE)
        if not disk.failed_at:
            break
        found = reader(folder).load()
        assert told(found) in ([], told(BEFORE)), (at, disk.failed_at)
        again = writer(folder)
        again.save(Keyring(BEFORE.entries, again.load().version))
        assert told(reader(folder).load()) == told(BEFORE)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert at > 20


@pytest.mark.threat(149)
@pytest.mark.parametrize("when", WHEN)
def test_the_sealing_key_is_made_whole_or_not_at_all_and_never_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    name = RecordName("key", "here", "tokens")
    for at in range(MOST_CALLS):
        folder = tmp_path / str(at)
        folder.mkdir(mode=0o700)
        record = None
        with failing(monkeypatch, at, when) as disk, suppress(KeyringError, Died):
            record = open_seal((), folder, begun=False).close(name, b"the first secret")
        if not disk.failed_at:
            break
        there = (folder / FILE).exists()
        seal = open_seal((), folder, begun=there)
        assert (folder / FILE).exists()
        if record is not None:
            assert seal.open(name, record) == b"the first secret"
        if there:
            assert open_seal((), folder, begun=True).name == seal.name
        assert stat.S_IMODE((folder / FILE).stat().st_mode) == 0o400
    assert at > 8


@pytest.mark.threat(149)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_name_points_to_is_on_the_disk_before_the_name_is_and_the_old_goes_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    written_by, writer = KINDS[kind]
    held = written_by(tmp_path / "keys").save(BEFORE)
    store = writer(tmp_path / "keys")
    store.load()
    done: list[str] = []

    def watched(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*arguments, **options):
            if name == "fsync":
                folder = stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
                done.append("sync folder" if folder else "sync file")
            else:
                done.append(name)
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        for name in ("write", "fsync", "rename", "unlink"):
            patch.setattr(os, name, watched(name))
        store.save(Keyring(AFTER.entries, held.version))
    record = ["write", "sync file", "rename"]
    # one key comes and the state that names it; only then the one that goes
    assert done == [*record, "sync folder", *record, "sync folder", "unlink"]

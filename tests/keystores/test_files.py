"""Keys in owner-only files."""

import errno
import json
import multiprocessing
import os
import pickle
import stat
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from watchword.errors import KeyFileUnsafe, KeyringConflict, KeyringError
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import Keyring
from watchword.keys.store import KeyStore
from watchword.keystores.files import FileKeyStore
from watchword.keystores.owner_only import OwnerOnlyFolder
from watchword.testing.key_stores import KeyStoreBehaviour
from watchword.tokens.private_key import PrivateKey

ISSUER = "https://issuer.example"
NOBODY = 65534
ROOT = os.geteuid() == 0
UNPRIVILEGED = NOBODY if ROOT else os.geteuid()


class TestFileKeyStore(KeyStoreBehaviour):
    def open(self, place: Path) -> KeyStore:
        return FileKeyStore(place / "keys")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def kept(folder: Path) -> Keyring:
    """A keyring that is saved in `folder`."""
    key = PrivateKey.generate()
    return FileKeyStore(folder).save(Keyring().prepare(key, 1).activate(key.kid, 2))


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o777], ids="umask {0:04o}".format)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def key_file(folder: Path) -> Path:
    (found,) = folder.glob("*.pem")
    return found


def open_to_all(path: Path) -> None:
    """Let somebody else reach `path`: the folders of pytest are for their owner only."""
    for folder in [path, *path.parents]:
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(0o755)


def as_nobody(deed):
    """Run `deed` in a child process without privileges and return what it returned or raised, as text.

    Whoever runs the tests as an ordinary user has no privileges to give up.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def child():
        if ROOT:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        try:
            theirs.send(repr(deed()))
        except Exception as error:  # noqa: BLE001  # whatever it is, the test has to see it
            theirs.send(f"{type(error).__name__}: {error}")

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    theirs.close()
    answer = ours.recv() if ours.poll(20) else "no answer"
    process.join(20)
    return answer


# --- who may look ---------------------------------------------------------------------------------


@pytest.mark.threat(146)
def test_folder_and_files_are_for_the_owner_only_whatever_the_umask(folder: Path, umask: int) -> None:
    FileKeyStore(folder / "deep").save(Keyring().prepare(PrivateKey.generate(), 1))
    assert mode(folder) == mode(folder / "deep") == 0o700
    files = list((folder / "deep").iterdir())
    assert {path.suffix for path in files} == {".pem", ".json", ""}
    assert {mode(path) for path in files} == {0o600}


@pytest.mark.parametrize("umask_value", [0o000, 0o777])
def test_an_unprivileged_user_can_begin_under_any_umask(tmp_path: Path, umask_value: int) -> None:
    home = tmp_path / "home"
    home.mkdir()
    if ROOT:
        os.chown(home, NOBODY, NOBODY)
        open_to_all(tmp_path)

    def begin():
        os.umask(umask_value)
        store = FileKeyStore(home / "a" / "keys")
        issuer = Issuer(ISSUER, store)
        issuer.activate_key(issuer.prepare_key())
        return len(FileKeyStore(home / "a" / "keys").load().entries)

    assert as_nobody(begin) == "2"


@pytest.mark.threat(146)
@pytest.mark.parametrize("name", ["keyring.json", "*.pem", "lock"])
@pytest.mark.parametrize("wide", [0o640, 0o604, 0o666, 0o700, 0o4600])
def test_a_file_that_others_can_reach_is_refused_with_the_command_that_mends_it(
    folder: Path, kept: Keyring, name: str, wide: int
) -> None:
    (path,) = folder.glob(name)
    path.chmod(wide)
    with pytest.raises(KeyFileUnsafe) as refused:
        FileKeyStore(folder).save(kept)
    assert f"chmod 600 {path}" in str(refused.value)
    path.chmod(0o600)
    FileKeyStore(folder).save(kept)


@pytest.mark.threat(146)
@pytest.mark.parametrize("wide", [0o750, 0o701, 0o777])
def test_a_folder_that_others_can_enter_is_refused_with_the_command_that_mends_it(
    folder: Path, kept: Keyring, wide: int
) -> None:
    folder.chmod(wide)
    with pytest.raises(KeyFileUnsafe, match=f"chmod 700 {folder}"):
        FileKeyStore(folder).load()
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore(folder).save(kept)


def test_a_narrower_mode_is_fine(folder: Path, kept: Keyring) -> None:
    key_file(folder).chmod(0o400)
    assert FileKeyStore(folder).load().active.kid == kept.active.kid


@pytest.mark.parametrize("name", ["keyring.json", "*.pem", "."])
def test_what_belongs_to_somebody_else_is_refused(
    folder: Path, kept: Keyring, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = folder.glob(name) if name != "." else (folder,)
    if ROOT:
        os.chown(path, NOBODY, -1)
    else:
        path = folder  # an ordinary user cannot give a file away, but be taken for somebody else
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY - 1)
    with pytest.raises(KeyFileUnsafe, match=f"chown {os.geteuid()} {path}"):
        FileKeyStore(folder).load()


@pytest.mark.threat(147)
@pytest.mark.parametrize("name", ["keyring.json", "*.pem", "lock"])
def test_a_symbolic_link_is_refused(folder: Path, kept: Keyring, tmp_path: Path, name: str) -> None:
    (path,) = folder.glob(name)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileUnsafe, match="link"):
        FileKeyStore(folder).save(kept)


@pytest.mark.threat(147)
@pytest.mark.parametrize("name", ["keyring.json", "*.pem"])
def test_a_second_name_of_a_file_is_refused(folder: Path, kept: Keyring, tmp_path: Path, name: str) -> None:
    (path,) = folder.glob(name)
    os.link(path, tmp_path / "second")
    with pytest.raises(KeyFileUnsafe, match="2 hard links"):
        FileKeyStore(folder).load()


@pytest.mark.threat(147)
def test_a_link_in_place_of_the_folder_is_refused(folder: Path, kept: Keyring, tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore(folder).load()
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore(folder).save(kept)


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    folder.write_text("")
    with pytest.raises(KeyFileUnsafe):
        FileKeyStore(folder).load()


def test_a_pipe_in_place_of_a_key_does_not_make_anybody_wait(folder: Path, kept: Keyring) -> None:
    path = key_file(folder)
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileUnsafe, match="something else"):
        FileKeyStore(folder).load()


# --- whole or not at all --------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "rename", "fchmod", "open", "unlink"])
def test_a_disk_that_fails_at_any_moment_leaves_the_old_or_the_new_keyring(
    folder: Path, kept: Keyring, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = getattr(os, call)
    second = PrivateKey.generate()
    changed = kept.prepare(second, 3).activate(second.kid, 4).remove(kept.active.kid)
    seen = set()
    for failing in range(40):
        calls = iter(range(1000))

        def fail(*arguments, calls=calls, failing=failing, **options):
            if next(calls) == failing:
                raise OSError(errno.ENOSPC, "no space left on device")
            return real(*arguments, **options)

        before = FileKeyStore(folder).load()
        candidate = Keyring(changed.entries, before.version)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            try:
                FileKeyStore(folder).save(candidate)
                failed = ""
            except KeyringError as error:
                failed = str(error)
        assert failed == "" or "no space left on device" in failed
        assert call == "unlink" or not list(folder.glob(".new-*"))
        after = FileKeyStore(folder).load()
        assert [e.kid for e in after.entries] in ([kept.active.kid], [second.kid])
        if not failed:
            assert after.version == before.version + 1
        seen.add(bool(failed))
        # put the first keyring back for the next moment
        FileKeyStore(folder).save(Keyring(kept.entries, after.version))
        assert not list(folder.glob(".new-*"))
        assert len(list(folder.glob("*.pem"))) == 1
    assert seen == {True, False} or call == "unlink"


@pytest.mark.threat(148)
def test_a_file_is_written_under_a_name_that_nobody_can_know_and_never_over_another(
    folder: Path, kept: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []
    real = os.open

    def watch(path, flags, *arguments, **options):
        opened.append((str(path), flags))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", watch)
    for number in range(3):
        store = FileKeyStore(folder)
        store.save(store.load().prepare(PrivateKey.generate(), number))
    written = [(name, flags) for name, flags in opened if flags & os.O_WRONLY]
    names = {name for name, _ in written}
    assert len(names) == len(written) >= 6
    assert all(len(name) >= 32 for name in names)
    for _, flags in written:
        assert flags & os.O_EXCL
        assert flags & os.O_NOFOLLOW


def test_a_process_that_died_while_writing_leaves_nothing_behind(folder: Path, kept: Keyring) -> None:
    (folder / ".new-0123456789abcdef").write_text("half a key")
    stranger = folder / f"{PrivateKey.generate().public.thumbprint()}.pem"
    stranger.write_text("a key whose keyring never came")
    assert FileKeyStore(folder).load().version == kept.version
    FileKeyStore(folder).save(kept)
    assert {path.name for path in folder.iterdir()} == {"keyring.json", "lock", key_file(folder).name}


def test_a_process_that_died_before_its_first_keyring_can_begin_again(folder: Path) -> None:
    key = PrivateKey.generate()
    FileKeyStore(folder).save(Keyring())
    state = json.loads((folder / "keyring.json").read_text())
    state["version"] = 0
    (folder / "keyring.json").write_text(json.dumps(state))
    orphan = folder / f"{key.public.thumbprint()}.pem"
    orphan.write_bytes(b"half")
    assert FileKeyStore(folder).load() == Keyring()
    FileKeyStore(folder).save(Keyring().prepare(key, 1))
    assert FileKeyStore(folder).load().named(key.kid).key.public == key.public


def test_a_lost_state_file_is_not_taken_for_a_new_beginning(folder: Path, kept: Keyring) -> None:
    (folder / "keyring.json").unlink()
    with pytest.raises(KeyringError, match="restore"):
        FileKeyStore(folder).load()
    with pytest.raises(KeyringError, match="restore"):
        Issuer(ISSUER, FileKeyStore(folder))
    assert key_file(folder).exists()


def test_a_lost_key_file_is_named(folder: Path, kept: Keyring) -> None:
    path = key_file(folder)
    path.unlink()
    with pytest.raises(KeyringError, match=f"{path} is missing"):
        FileKeyStore(folder).load()


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state | {"format": 2},
        lambda state: state | {"version": -1},
        lambda state: state | {"more": 1},
        lambda state: state | {"keys": [state["keys"][0] | {"file": "../../etc/passwd"}]},
        lambda state: state | {"keys": [state["keys"][0] | {"state": "eternal"}]},
        lambda state: state | {"keys": [state["keys"][0] | {"alg": "none"}]},
        lambda state: state | {"keys": [state["keys"][0] | {"alg": "HS256"}]},
        lambda state: state | {"keys": [state["keys"][0] | {"alg": "RS256"}]},
        lambda state: state | {"keys": [state["keys"][0], state["keys"][0]]},
        lambda state: [],
    ],
)
def test_a_damaged_state_file_is_refused(folder: Path, kept: Keyring, damage) -> None:
    path = folder / "keyring.json"
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(KeyringError):
        FileKeyStore(folder).load()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{", b"null"])
def test_a_state_file_that_is_no_json_is_refused(folder: Path, kept: Keyring, content: bytes) -> None:
    (folder / "keyring.json").write_bytes(content)
    with pytest.raises(KeyringError, match="damaged"):
        FileKeyStore(folder).load()


def test_a_key_under_another_keys_name_is_refused(folder: Path, kept: Keyring) -> None:
    key_file(folder).write_bytes(PrivateKey.generate().insecure_private_pem())
    with pytest.raises(KeyringError, match="found another"):
        FileKeyStore(folder).load()


def test_a_key_that_was_read_is_not_read_again(folder: Path, kept: Keyring) -> None:
    store = FileKeyStore(folder)
    first = store.load()
    assert store.load() is first
    FileKeyStore(folder).save(kept.prepare(PrivateKey.generate(), 3))
    assert store.load().active.key is first.active.key
    assert len(store.load().entries) == 2


# --- more than one process ------------------------------------------------------------------------


def begin_and_change(folder: Path, barrier, answers) -> None:
    barrier.wait(30)
    issuer = Issuer(ISSUER, FileKeyStore(folder))
    first = issuer.keyring.entries[0].kid
    for _ in range(3):
        issuer.prepare_key()
    answers.put(first)


def test_processes_that_start_together_agree_on_the_first_key_and_lose_no_change(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(4), context.Queue()
    processes = [context.Process(target=begin_and_change, args=(folder, barrier, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    firsts = {answers.get(timeout=30) for _ in processes}
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    keyring = FileKeyStore(folder).load()
    assert firsts == {keyring.active.kid}
    assert len(keyring.entries) == 1 + 4 * 3
    assert keyring.version == 1 + 4 * 3


def save_one(folder: Path, keyring: Keyring, barrier, answers) -> None:
    candidate = keyring.prepare(PrivateKey.generate(), 1)
    store = FileKeyStore(folder)
    barrier.wait(30)
    try:
        answers.put(store.save(candidate).version)
    except KeyringConflict:
        answers.put("conflict")


def test_of_two_processes_with_one_version_one_wins(folder: Path, kept: Keyring) -> None:
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        keyring = FileKeyStore(folder).load()
        barrier, answers = context.Barrier(2), context.Queue()
        processes = [
            context.Process(target=save_one, args=(folder, keyring, barrier, answers)) for _ in range(2)
        ]
        for process in processes:
            process.start()
        outcome = [answers.get(timeout=30) for _ in processes]
        for process in processes:
            process.join(30)
        assert sorted(outcome, key=str) == [keyring.version + 1, "conflict"]
        assert len(FileKeyStore(folder).load().entries) == len(keyring.entries) + 1


def read_on(folder: Path, stop, answers) -> None:
    count = 0
    try:
        while not stop.is_set():
            keyring = FileKeyStore(folder).load()
            keyring.active.key.sign(b"works")
            count += 1
        answers.put(count)
    except Exception as error:  # noqa: BLE001  # whatever it is, the test has to see it
        answers.put(error)


def test_readers_never_see_half_a_change(folder: Path, kept: Keyring) -> None:
    context = multiprocessing.get_context("fork")
    stop, answers = context.Event(), context.Queue()
    reader = context.Process(target=read_on, args=(folder, stop, answers))
    reader.start()
    issuer = Issuer(ISSUER, FileKeyStore(folder))
    for _ in range(60):
        old = issuer.keyring.active.kid
        issuer.activate_key(issuer.prepare_key())
        issuer.remove_key(old)
    stop.set()
    count = answers.get(timeout=30)
    reader.join(30)
    assert isinstance(count, int), count
    assert count > 0


# --- places that do not work ----------------------------------------------------------------------


def test_a_folder_that_may_not_be_written_to_is_said_in_plain_words(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    if ROOT:
        open_to_all(tmp_path)
    answer = as_nobody(lambda: Issuer(ISSUER, FileKeyStore(home / "watchword-data" / "keys")))
    assert answer == (
        f"KeyringError: cannot create the folder {home / 'watchword-data'}: permission denied; "
        f"expected a folder that user {UNPRIVILEGED} may write to"
    )


def test_a_folder_that_may_not_be_entered_is_said_in_plain_words(folder: Path, kept: Keyring) -> None:
    if ROOT:
        open_to_all(folder.parent)
    else:
        folder.chmod(0o000)
    answer = as_nobody(lambda: FileKeyStore(folder).load())
    folder.chmod(0o700)
    assert answer.startswith(f"KeyringError: cannot open {folder}: permission denied")


def test_a_folder_below_a_file_is_said_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyringError, match="file"):
        FileKeyStore(tmp_path / "file" / "keys").save(Keyring())


# --- nothing shows ---------------------------------------------------------------------------------


def canary(key: PrivateKey) -> tuple[str, str]:
    """Two runs of characters that a clear copy of the key would contain: of its PEM, and of its number."""
    body = b"".join(key.insecure_private_pem().splitlines()[1:-1]).decode()
    return body[20:60], body[-40:]


def with_locals(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


@pytest.mark.threat(155)
def test_no_traceback_with_variables_shows_a_key_that_could_not_be_written(
    folder: Path, kept: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = PrivateKey.generate()

    def fail(*_):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyringError) as failed:
        FileKeyStore(folder).save(kept.prepare(key, 3))
    text = with_locals(failed.value)
    assert "BEGIN" not in text
    assert not any(run in text for run in canary(key))


@pytest.mark.threat(155)
@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_no_traceback_with_variables_shows_a_key_that_could_not_be_read(folder: Path, alg: str) -> None:
    key, other = PrivateKey.generate(), PrivateKey.generate()
    FileKeyStore(folder).save(Keyring().prepare(key, 1))
    key_file(folder).write_bytes(other.insecure_private_pem())
    state = folder / "keyring.json"
    state.write_text(state.read_text().replace('"ES256"', f'"{alg}"'))
    with pytest.raises(KeyringError) as failed:
        FileKeyStore(folder).load()
    text = with_locals(failed.value)
    assert "BEGIN" not in text
    assert not any(run in text for run in canary(other))


@pytest.mark.threat(155)
def test_a_key_store_neither_prints_nor_pickles_keys(folder: Path, kept: Keyring) -> None:
    store = FileKeyStore(folder)
    store.load()
    with pytest.raises(TypeError):
        pickle.dumps(store)
    assert not any(run in repr(store) + str(store) for run in canary(kept.active.key))


def test_the_folder_is_named_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileKeyStore("keys")
    monkeypatch.chdir("/")
    store.save(Keyring())
    assert (tmp_path / "keys" / "keyring.json").exists()


def test_a_folder_that_is_not_there_is_not_made_by_looking(folder: Path) -> None:
    assert FileKeyStore(folder).load() == Keyring()
    with OwnerOnlyFolder.opened(folder) as opened:
        assert opened is None
    assert not folder.exists()

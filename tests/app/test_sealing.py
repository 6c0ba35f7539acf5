"""Where the sealing key comes from, in real processes: made once, never again, and seen by nobody."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from watchword.app.build import opened
from watchword.app.config import ServerSettings
from watchword.app.seal_sources import SealSource, seal_sources
from watchword.app.sealing import FILE, open_seal
from watchword.errors import ConfigurationError, KeyRejected, SealingKeyUnusable, WatchwordError
from watchword.keys.issuer import Issuer
from watchword.keys.keyring import Keyring
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keystores.files import FileKeyStore
from watchword.tokens.private_key import PrivateKey

ISSUER = "http://127.0.0.1:1"
TIMEOUT = 60
SOME = "bAEIbAJxJCm9SUzArvnF-m5jClwA7WnWsjkI1A9w23k"
ROOT = os.geteuid() == 0


def load(folder: Path, **settings: str) -> ServerSettings:
    environ = {f"WATCHWORD_{name}": value for name, value in settings.items()}
    return ServerSettings.load({"WATCHWORD_ISSUER": ISSUER} | environ, folder=folder)


def start(folder: Path, **settings: str) -> list[str]:
    """Open a token service as a start would, and return the `kid`s that it has."""

    async def live() -> list[str]:
        async with opened(load(folder, **settings)) as application:
            sent = []

            async def send(message: Mapping[str, object]) -> None:
                sent.append(message)

            path = b"/.well-known/jwks.json"
            scope = {"type": "http", "method": "GET", "raw_path": path, "query_string": b"", "headers": []}
            await application(scope, None, send)
            return [key["kid"] for key in json.loads(sent[1]["body"])["keys"]]

    return asyncio.run(live())


def watchword(folder: Path, *arguments: str, pass_fds: tuple[int, ...] = (), **environ: str):
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    return subprocess.run(
        [sys.executable, "-m", "watchword", *arguments],
        cwd=folder,
        env=plain | {"WATCHWORD_ISSUER": ISSUER} | environ,
        pass_fds=pass_fds,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


# --- made once ------------------------------------------------------------------------------------


@pytest.mark.threat(146, 154)
def test_the_first_start_makes_a_key_that_only_its_owner_can_read_and_the_next_ones_use_it(tmp_path):
    first = start(tmp_path)
    path = tmp_path / "watchword-data" / FILE
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    SealingKey.from_text(text)
    assert start(tmp_path) == first
    assert path.read_text() == text
    assert not (tmp_path / "watchword-data" / "keys").exists()


@pytest.mark.threat(153)
@pytest.mark.parametrize("kind", ["database:", "files:keys"])
def test_a_lost_sealing_key_is_never_replaced_by_a_new_one(tmp_path, kind):
    first = start(tmp_path, KEYS=kind)
    path = tmp_path / "watchword-data" / FILE
    kept = path.rename(tmp_path / "kept")
    for _ in range(2):
        with pytest.raises(SealingKeyUnusable, match="is missing") as refused:
            start(tmp_path, KEYS=kind)
        assert str(path) in str(refused.value)
        assert not path.exists()
    kept.rename(path)
    assert start(tmp_path, KEYS=kind) == first


@pytest.mark.threat(153)
@pytest.mark.parametrize("kind", ["database:", "files:keys"])
def test_another_sealing_key_opens_nothing_and_destroys_nothing(tmp_path, kind):
    first = start(tmp_path, KEYS=kind)
    path = tmp_path / "watchword-data" / FILE
    right = path.read_text()
    path.chmod(0o600)
    path.write_text(new_sealing_key())
    with pytest.raises(SealingKeyUnusable, match="sealed under the sealing key"):
        start(tmp_path, KEYS=kind)
    path.write_text(right)
    assert start(tmp_path, KEYS=kind) == first


@pytest.mark.threat(154)
@pytest.mark.parametrize("text", ["", "changeme\n", "A" * 43, "x" * 43, "\0" * 43, SOME[:40]])
def test_what_is_no_sealing_key_is_refused_and_not_shown(tmp_path, text):
    (tmp_path / "seal").write_text(text)
    (tmp_path / "seal").chmod(0o400)
    with pytest.raises(SealingKeyUnusable) as refused:
        start(tmp_path, SEAL="file:seal")
    assert not text.strip() or text not in str(refused.value)


@pytest.mark.threat(146)
@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o660])
def test_a_sealing_key_that_others_can_read_is_refused(tmp_path, mode):
    (tmp_path / "seal").write_text(new_sealing_key())
    (tmp_path / "seal").chmod(mode)
    with pytest.raises(SealingKeyUnusable, match="chmod 400"):
        start(tmp_path, SEAL="file:seal")


def test_a_named_file_must_be_there_and_is_not_made(tmp_path):
    with pytest.raises(SealingKeyUnusable, match="no such file"):
        start(tmp_path, SEAL="file:mounted/seal")
    assert not (tmp_path / "mounted").exists()
    assert not (tmp_path / "watchword-data" / FILE).exists()


def test_keys_in_memory_need_no_sealing_key(tmp_path):
    assert start(tmp_path, KEYS="memory:") != start(tmp_path, KEYS="memory:")
    assert not (tmp_path / "watchword-data" / FILE).exists()


# --- several, and other places --------------------------------------------------------------------


@pytest.mark.threat(153)
@pytest.mark.parametrize("kind", ["database:", "files:keys"])
def test_a_sealing_key_is_changed_while_both_open(tmp_path, kind):
    for name in ("old", "new"):
        (tmp_path / name).write_text(new_sealing_key())
        (tmp_path / name).chmod(0o400)
    first = start(tmp_path, KEYS=kind, SEAL="file:old")
    assert start(tmp_path, KEYS=kind, SEAL="file:new,file:old") == first
    with pytest.raises(SealingKeyUnusable):
        start(tmp_path, KEYS=kind, SEAL="file:new")
    assert start(tmp_path, KEYS=kind, SEAL="file:old") == first


@pytest.mark.parametrize(
    "text",
    [
        SOME,
        "vault:x",
        "file:",
        "fd:",
        "fd:-1",
        "fd:x",
        "env:",
        "env:A B",
        "file:a,",
        "file:a,file:a",
    ],
)
def test_a_setting_that_names_no_place_says_which_there_are_and_shows_nothing(tmp_path, text):
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, SEAL=text)
    assert "WATCHWORD_SEAL: expected" in str(refused.value)
    assert "file:<path>" in str(refused.value)
    if len(text) == 43:
        assert text not in str(refused.value)


def test_a_descriptor_is_read_once_and_closed():
    text = new_sealing_key()
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    (source,) = seal_sources(f"fd:{reading}", Path("/"))
    key = source.key()
    assert source.key() is key
    assert key.id == SealingKey.from_text(text).id
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(reading)


def test_a_descriptor_that_is_not_there_is_told():
    with pytest.raises(SealingKeyUnusable, match="fd:9876"):
        SealSource("fd", "9876").key()


def test_a_variable_is_taken_out_of_our_own_environment(monkeypatch):
    text = new_sealing_key()
    monkeypatch.setenv("SEALING", text)
    (source,) = seal_sources("env:SEALING", Path("/"))
    assert source.key().id == SealingKey.from_text(text).id
    assert "SEALING" not in os.environ
    assert text not in repr(source) + str(source)


def test_a_variable_that_is_not_there_is_told(tmp_path):
    told = watchword(tmp_path, "serve", WATCHWORD_SEAL="env:NOT_THERE")
    assert told.returncode == 1
    assert "expected the variable NOT_THERE" in told.stderr


@pytest.mark.threat(158)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_key_from_the_environment_is_in_no_process_environ(tmp_path, workers):
    text = new_sealing_key()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "watchword", "serve", "--workers", workers],
        cwd=tmp_path,
        env=plain
        | {"WATCHWORD_ISSUER": ISSUER, "WATCHWORD_LISTEN": "127.0.0.1:0", "WATCHWORD_SEAL": "env:KEK"}
        | {"KEK": text},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stdout.readline()
        seen = [process.pid, *children(process.pid)]
        assert len(seen) == (1 if workers == "1" else 4)  # supervisor, keeper, two workers
        for pid in seen:
            for name in ("environ", "cmdline"):
                content = Path("/proc", str(pid), name).read_bytes()
                assert content
                assert text.encode() not in content
    finally:
        process.terminate()
        _, log = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 0
    assert text not in log.decode()
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert text.encode() not in stored


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_command_without_a_server_takes_the_key_from_a_descriptor_too(tmp_path):
    (tmp_path / "seal").write_text(new_sealing_key())
    (tmp_path / "seal").chmod(0o400)
    first = start(tmp_path, SEAL="file:seal")
    fd = os.open(tmp_path / "seal", os.O_RDONLY)
    told = watchword(tmp_path, "keys", "show", "--json", pass_fds=(fd,), WATCHWORD_SEAL=f"fd:{fd}")
    os.close(fd)
    assert sorted(key["kid"] for key in json.loads(told.stdout)["keys"]) == sorted(first)
    key = (tmp_path / "seal").read_text()
    told = watchword(tmp_path, "keys", "show", "--json", WATCHWORD_SEAL="env:KEK", KEK=key)
    assert sorted(key["kid"] for key in json.loads(told.stdout)["keys"]) == sorted(first)


# --- keys of an earlier start ---------------------------------------------------------------------


@pytest.fixture
def earlier(tmp_path) -> str:
    """A folder of plain keys, as releases before the seal have left it; returns the `kid` that signs."""
    before = os.umask(0o077)
    (tmp_path / "watchword-data").mkdir(mode=0o700)
    kid = Issuer(ISSUER, FileKeyStore(tmp_path / "watchword-data" / "keys")).keyring.active.kid
    os.umask(before)
    return kid


def test_keys_of_an_earlier_start_go_on_where_they_are_and_a_warning_says_so(tmp_path, earlier):
    settings = load(tmp_path)
    assert settings.keys == f"files:{tmp_path / 'watchword-data' / 'keys'}"
    assert any("database: to move them" in warning for warning in settings.warnings)
    assert start(tmp_path)[0] == earlier


def test_they_are_sealed_with_their_next_change(tmp_path, earlier):
    assert len(start(tmp_path)) == 2  # a key in reserve was prepared: that is a change
    folder = tmp_path / "watchword-data" / "keys"
    assert not list(folder.glob("*.pem"))
    assert len(list(folder.glob("*.sealed"))) == 2
    assert all(b"PRIVATE" not in path.read_bytes() for path in folder.iterdir())
    assert start(tmp_path)[0] == earlier


def test_they_move_into_the_database_when_it_is_named(tmp_path, earlier):
    assert start(tmp_path, KEYS="database:")[0] == earlier
    (tmp_path / "watchword-data" / "keys").rename(tmp_path / "aside")
    assert start(tmp_path)[0] == earlier


@pytest.mark.skipif(not ROOT, reason="only root can give a file away")
@pytest.mark.threat(147)
def test_a_key_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "seal").write_text(new_sealing_key())
    (tmp_path / "seal").chmod(0o400)
    os.chown(tmp_path / "seal", 65534, 65534)
    with pytest.raises(SealingKeyUnusable, match="uid 65534"):
        start(tmp_path, SEAL="file:seal")


@pytest.mark.threat(147)
def test_a_link_in_place_of_the_key_is_refused(tmp_path):
    start(tmp_path)
    path = tmp_path / "watchword-data" / FILE
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WatchwordError, match="symbolic link"):
        start(tmp_path)


def test_a_seal_of_a_folder_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(SealingKeyUnusable):
        open_seal((), tmp_path / "none", begun=False)


@pytest.mark.threat(161)
def test_a_key_in_files_that_has_two_purposes_is_refused(tmp_path):
    key = PrivateKey.generate()
    for name in ("keys", "watchword-data/audit-keys"):
        FileKeyStore(tmp_path / name).save(Keyring().prepare(key, 1.0).activate(key.kid, 1.0))
    with pytest.raises(KeyRejected, match="one key, one purpose"):
        start(tmp_path, KEYS="files:keys")

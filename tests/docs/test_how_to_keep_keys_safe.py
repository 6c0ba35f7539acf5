"""The how-to of the sealing key: its commands are typed and its Python is run, as the page has them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import SealingKeyUnusable
from watchword.keystores.files import FileKeyStore

from .conftest import GUARD, Reader

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "keep-keys-safe.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    opened = Reader(tmp_path)
    yield opened
    opened.terminal.close()


def type_in(reader: Reader, *lines: str) -> None:
    for line in lines:
        reader.terminal.run(re.sub(r"\s+#.*", "", line))


def test_every_command_of_the_page_works_one_after_the_other(reader: Reader, tmp_path: Path) -> None:
    assert GUARD > 0
    making, travelling, own = SHELL
    type_in(reader, "export WATCHWORD_ISSUER=http://127.0.0.1:1", *making.splitlines())
    type_in(reader, "export WATCHWORD_SEAL=file:sealing.key", "watchword keys prepare")
    export, bring_in = travelling.splitlines()
    type_in(reader, export, "mv watchword-data first", bring_in)
    type_in(reader, "openssl genpkey -algorithm ed25519 -out private.pem", *own.splitlines())
    told = reader.terminal.said[own.strip()]
    assert "is published; it may sign from" in told
    assert "private.pem still holds the key in clear" in told

    for step in re.findall(r"^\d\. `(watchword [^`]+)`", PAGE, re.MULTILINE):
        type_in(reader, "export WATCHWORD_SEAL=file:sealing.key")
        if "reseal" in step:
            type_in(reader, "export WATCHWORD_SEAL=file:sealing-2.key,file:sealing.key")
        type_in(reader, step)
    type_in(reader, "export WATCHWORD_SEAL=file:sealing-2.key", "watchword keys show", "watchword doctor")

    (settings,) = set(re.findall(r"`SEAL=(file:/etc/watchword/sealing-2.key,\S+)`", PAGE))
    assert settings.count("file:") == 2
    with pytest.raises(AssertionError, match=r"sealed under"):
        type_in(reader, "export WATCHWORD_SEAL=file:sealing.key", "watchword keys show")


def test_an_embedded_issuer_is_given_a_seal(reader: Reader, tmp_path: Path, monkeypatch: Any) -> None:
    type_in(reader, *SHELL[0].splitlines())
    monkeypatch.chdir(tmp_path)
    (block,) = PYTHON
    session: dict[str, Any] = {}
    exec(compile(block, "keep-keys-safe.md", "exec"), session)
    assert session["issuer"].issue("john", "posts")
    assert list((tmp_path / "users-keys").glob("*.sealed"))
    with pytest.raises(SealingKeyUnusable):
        FileKeyStore(tmp_path / "users-keys").load()


def test_what_the_first_run_says_is_what_is_said(reader: Reader, tmp_path: Path) -> None:
    type_in(reader, "export WATCHWORD_ISSUER=http://127.0.0.1:1", "watchword keys prepare")
    (tmp_path / "watchword-data" / "sealing.key").unlink()
    with pytest.raises(AssertionError) as refused:
        type_in(reader, "watchword serve")
    (said,) = re.findall(r"^```text\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
    assert said in str(refused.value).replace(f"{tmp_path}/", "")

"""The seal of an installation: its sealing key is made at the first start, and never again."""

import os
from collections.abc import Sequence
from pathlib import Path

from watchword.app.seal_sources import SealSource
from watchword.errors import SealingKeyUnusable
from watchword.keys.seal import Seal
from watchword.keys.sealing_key import SealingKey, new_sealing_key
from watchword.keystores.owner_only import OwnerOnlyFolder

FILE = "sealing.key"
_MODE = 0o400


def open_seal(sources: Sequence[SealSource], data_folder: Path, *, begun: bool) -> Seal:
    """Return the seal.

    Args:
        sources: of the setting; empty: the file `sealing.key` in the data folder.
        data_folder: exists, and is its owner's alone.
        begun: whether something is sealed already: then no key is made.

    Raises:
        SealingKeyUnusable: there is no sealing key, or it cannot be used.
        KeyringError: the file cannot be written.
    """
    if sources:
        return Seal(*(source.key() for source in sources))
    with OwnerOnlyFolder.opened(data_folder) as folder:
        if folder is None:
            raise SealingKeyUnusable(f"expected the data folder {data_folder}, found none")
        text = _read(folder)
        if text is None:
            if begun:
                raise SealingKeyUnusable(
                    f"{data_folder / FILE} is missing, and the keys are sealed under it: restore it from a"
                    " backup, or name it in WATCHWORD_SEAL; a new one would open nothing"
                )
            # durable before anything is sealed under it
            folder.write(FILE, new_sealing_key().encode("ascii") + b"\n", mode=_MODE)
            folder.sync()
            text = _read(folder)
    if text is None:
        raise SealingKeyUnusable(f"{data_folder / FILE} disappeared while it was made")
    return Seal(_key(text, data_folder / FILE))


def read_before_forks(sources: Sequence[SealSource]) -> None:
    """Read what can be read once only, so that every process which is forked from this one has it.

    Raises:
        SealingKeyUnusable: it cannot be used.
    """
    for source in sources:
        if source.kind != "file":
            source.key()


def leave_environment(sources: Sequence[SealSource], argv: Sequence[str], executable: str) -> None:
    """If a sealing key stands in the environment, begin this process anew without it.

    What a process was started with can be read in `/proc/<pid>/environ` for as long as it runs, whatever it
    does to its own copy. The key goes to the new image through a pipe, which is empty once it was read.

    Raises:
        SealingKeyUnusable: the variable is not there.
    """
    if not any(source.kind == "env" for source in sources):
        return
    names = [f"fd:{_piped(source.text())}" if source.kind == "env" else str(source) for source in sources]
    environ = {name: value for name, value in os.environ.items() if name != "WATCHWORD_SEAL_FILE"}
    environ["WATCHWORD_SEAL"] = ",".join(names)
    os.execve(executable, list(argv), environ)  # noqa: S606  # ourselves, as we were started


def _piped(text: str) -> int:
    reading, writing = os.pipe()
    os.write(writing, text.encode("ascii", "replace"))
    os.close(writing)
    os.set_inheritable(reading, True)
    return reading


def _read(folder: OwnerOnlyFolder) -> str | None:
    content = folder.read(FILE)
    return None if content is None else content.decode("ascii", "replace")


def _key(text: str, path: Path) -> SealingKey:
    problem = ""
    try:
        return SealingKey.from_text(text)
    except SealingKeyUnusable as error:
        problem = str(error)
    del text
    raise SealingKeyUnusable(f"{path}: {problem}; restore it from a backup")

"""Where the sealing key comes from: a file, an inherited descriptor, or the environment; each read once."""

import os
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import NoReturn

from watchword.errors import SealingKeyUnusable
from watchword.keys.sealing_key import SealingKey

_LONGEST = 4_096
_FORMS = "file:<path>, fd:<number> or env:<NAME>, the one that seals first"


class SealSource:
    """One place of a sealing key. What was read is kept: a descriptor gives it once, and forks need it.

    Args:
        kind: `file`, `fd` or `env`.
        place: a path, a number or a name.
    """

    __slots__ = ("_key", "kind", "place")

    def __init__(self, kind: str, place: str) -> None:
        self.kind = kind
        self.place = place
        self._key: SealingKey | None = None

    def key(self) -> SealingKey:
        """Return the sealing key.

        Raises:
            SealingKeyUnusable: there is none, it is no key, or others can read it.
        """
        if self._key is None:
            text = self.text()
            problem = None
            try:
                self._key = SealingKey.from_text(text)
            except SealingKeyUnusable as error:
                problem = str(error)
            del text  # a traceback that shows variables must not show it
            if self._key is None:
                raise SealingKeyUnusable(f"WATCHWORD_SEAL: {self}: {problem}")
        return self._key

    def text(self, environ: MutableMapping[str, str] = os.environ) -> str:
        """Return what stands there; out of the environment it is taken away.

        Raises:
            SealingKeyUnusable: it cannot be read, or others can read it.
        """
        if self.kind == "env":
            found = environ.pop(self.place, None)
            if found is None:
                raise SealingKeyUnusable(f"WATCHWORD_SEAL: expected the variable {self.place}, found none")
            return found
        try:
            return _content(self)
        except OSError as error:
            reason = (error.strerror or "error").lower()
        raise SealingKeyUnusable(f"WATCHWORD_SEAL: {self} cannot be read: {reason}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SealSource) and (self.kind, self.place) == (other.kind, other.place)

    def __hash__(self) -> int:
        return hash((self.kind, self.place))

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    def __repr__(self) -> str:
        return f"SealSource({str(self)!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a source of sealing keys cannot be pickled")


def seal_sources(text: str, folder: Path) -> tuple[SealSource, ...]:
    """Return the sources that a setting names; its text is never shown, for it could be a key.

    Raises:
        ValueError: what was expected.
    """
    sources = []
    for part in text.split(","):
        kind, _, place = part.strip().partition(":")
        if kind == "file" and place:
            sources.append(SealSource(kind, str(folder / Path(place).expanduser())))
        elif kind == "fd" and place.isascii() and place.isdigit() and len(place) < 6:
            sources.append(SealSource(kind, str(int(place))))
        elif kind == "env" and place.isidentifier():
            sources.append(SealSource(kind, place))
        else:
            raise ValueError(f"expected {_FORMS}; found something else, which is not shown: is it a key?")
    if len(set(sources)) < len(sources):
        raise ValueError(f"expected each of {_FORMS}; found one twice")
    return tuple(sources)


def _content(source: SealSource) -> str:
    fd = int(source.place) if source.kind == "fd" else os.open(source.place, os.O_RDONLY | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if source.kind == "file":
            _demand_private(os.fstat(fd), source.place)
        return file.read(_LONGEST).decode("ascii", "replace")


def _demand_private(status: os.stat_result, path: str) -> None:
    """Demand that nobody else reads the file; what root has mounted may be read by our group."""
    if not stat.S_ISREG(status.st_mode):
        raise SealingKeyUnusable(f"WATCHWORD_SEAL: expected a file at {path}, found something else")
    if status.st_uid not in (0, os.geteuid()):
        raise SealingKeyUnusable(
            f"WATCHWORD_SEAL: expected {path} to belong to this user (uid {os.geteuid()}) or root, "
            f"found uid {status.st_uid}"
        )
    mounted = status.st_uid == 0 and os.geteuid() != 0
    mode = stat.S_IMODE(status.st_mode)
    if mode & (0o037 if mounted else 0o077):
        raise SealingKeyUnusable(
            f"WATCHWORD_SEAL: expected only its owner to read {path}, found mode {mode:04o}; "
            f"run: chmod 400 {path}"
        )

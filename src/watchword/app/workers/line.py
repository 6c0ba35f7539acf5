"""What a supervisor and its child tell each other, over one socket that ends with either of them."""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence

import msgspec

from watchword import errors
from watchword.errors import ServerError, WatchwordError
from watchword.errors.root import Problems

STOP = b"s"
"""To the child: finish what was accepted, then end."""
AT_ONCE = b"x"
"""To the child: do not wait any longer."""

_ENDED = 1


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line from the child: it serves now, or why it cannot."""

    ready: bool = False
    code: str = ""
    problems: tuple[str, ...] = ()


class ChildsEnd:
    """The child's end of the line. When the supervisor ends, so does the child, at once.

    Args:
        line: one of a pair.
    """

    __slots__ = ("_line",)

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def ready(self) -> None:
        """Say that requests are accepted."""
        self._say(Word(ready=True))

    def cannot(self, error: WatchwordError) -> None:
        """Say why this process cannot serve."""
        problems = error.problems if isinstance(error, Problems) else (str(error),)
        self._say(Word(code=error.code, problems=tuple(problems)))

    def listen(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, on the running event loop, each time when the supervisor says so."""
        self._line.setblocking(False)

        def hear() -> None:
            heard = self._line.recv(64)
            if not heard:
                os._exit(_ENDED)  # nobody would replace or stop this process any more
            stop()
            if AT_ONCE in heard:
                stop()

        asyncio.get_running_loop().add_reader(self._line, hear)

    def _say(self, word: Word) -> None:
        try:
            self._line.sendall(msgspec.json.encode(word) + b"\n")
        except OSError:
            os._exit(_ENDED)


def heard(text: bytes) -> Sequence[Word]:
    """Return the words in what a child sent; what is no word was cut off by its death."""
    words = []
    for line in text.splitlines():
        try:
            words.append(msgspec.json.decode(line, type=Word))
        except msgspec.MsgspecError:
            continue
    return words


def revived(word: Word) -> WatchwordError:
    """Return the error that a child told of, as if it had been raised here."""
    kind = next(
        (found for name in errors.__all__ if (found := getattr(errors, name)).code == word.code), ServerError
    )
    if issubclass(kind, Problems):
        return kind(word.problems)
    # some kinds want more than words; here the words are all there is
    error: WatchwordError = kind.__new__(kind)
    error.args = ("; ".join(word.problems),)
    return error

"""A child of the supervisor: forked, tied to its parent's life, and ended without going back."""

import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterable
from typing import NamedTuple, NoReturn

from watchword.app.workers.line import ChildsEnd
from watchword.errors import ServerError, WatchwordError

logger = logging.getLogger("watchword.app")

Duty = Callable[[ChildsEnd], None]
"""What a child does; it returns once it was told to stop and has finished what it accepted."""

_PR_SET_PDEATHSIG = 1
_ENDED_WELL, _FAILED = 0, 1


class Child(NamedTuple):
    """A process and the line to it."""

    pid: int
    line: socket.socket


def fork(duty: Duty, *, not_its: Iterable[socket.socket]) -> Child:
    """Begin a process that does its duty and ends.

    Args:
        duty: it raises `WatchwordError` if it cannot be done, which is told on the line.
        not_its: lines to other children: a copy that stays open would hide from them that we ended.

    Raises:
        OSError: the system has no room for another process.
    """
    ours, theirs = socket.socketpair()
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        _live(duty, theirs, parent, (ours, *not_its))
    theirs.close()
    ours.setblocking(False)
    return Child(pid, ours)


def _live(duty: Duty, line: socket.socket, parent: int, not_its: Iterable[socket.socket]) -> NoReturn:
    """Do the duty and end this process: nothing that the parent would do at its end is done here."""
    status = _FAILED
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everybody; the parent passes it on
        for other in not_its:
            other.close()
        _die_with(parent)
        end = ChildsEnd(line)
        try:
            duty(end)
            status = _ENDED_WELL
        except WatchwordError as error:
            end.cannot(error)
        except Exception as error:
            logger.error("a process of this service failed", exc_info=error)
            end.cannot(ServerError(f"a process of this service failed: unexpected {type(error).__name__}"))
    finally:
        os._exit(status)


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when the parent ends, also while its event loop hangs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(_FAILED)  # it ended before it was asked for

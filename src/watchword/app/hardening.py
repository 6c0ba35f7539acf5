"""The memory of this process holds private keys: no core dump, and nobody of the same user looks inside."""

import ctypes
import logging
import os
import resource
import sys

logger = logging.getLogger("watchword.app")

_PR_SET_DUMPABLE = 4


def seal_memory() -> None:
    """Let no dump be written and no debugger in, for the rest of this process's life.

    The limit on core files alone does not stop a handler in `core_pattern`; a process that is not dumpable
    (prctl(2)) is not dumped at all, and its `/proc` files and memory are root's. Systems other than Linux
    have the limit only.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    system = ctypes.CDLL(None, use_errno=True)
    if system.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        logger.warning("this process may be dumped: %s", os.strerror(ctypes.get_errno()).lower())

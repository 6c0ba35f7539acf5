"""Tells systemd how this process is doing (sd_notify(3)); without systemd it tells nobody."""

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

logger = logging.getLogger("watchword.app")


class Notifier:
    """Sends states to the socket that the service manager named.

    Args:
        environ: `NOTIFY_SOCKET`, and `WATCHDOG_USEC` with `WATCHDOG_PID` if it wants signs of life.
    """

    __slots__ = ("_address", "watchdog_seconds")

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # an abstract socket has a zero byte where its name shows an @
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(environ) if address else None
        """How often a sign of life is due at the latest; `None`: never."""

    def ready(self, status: str) -> None:
        """Say that requests are accepted."""
        self._send(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Say that no more requests are invited."""
        self._send("STOPPING=1\nSTATUS=finishing what was accepted")

    def alive(self) -> None:
        """Give a sign of life, where one is wanted."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    async def live(self) -> None:
        """Give a sign of life twice as often as it is due; from the event loop, which may hang."""
        while self.watchdog_seconds is not None:
            self.alive()
            await asyncio.sleep(self.watchdog_seconds / 2)

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
            sending.setblocking(False)
            try:
                sending.sendto(state.encode(), self._address)
            except (OSError, ValueError) as error:
                # whoever does not listen is no reason not to serve
                logger.warning("the service manager was not told %s: %s", state.partition("=")[0], error)


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    due, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not due.isascii() or not due.isdecimal() or int(due) == 0 or whose not in ("", str(os.getpid())):
        return None
    return int(due) / 1_000_000

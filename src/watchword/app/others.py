"""What others changed: a process that keeps something in memory notices what another one has committed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from watchword.errors import KeyringError, StoreError

logger = logging.getLogger("watchword.app")

LOOK_EVERY = 0.25
"""Seconds between two looks."""
SEEN_WITHIN = 1.0
"""Seconds after which every process of a service acts on a change; several looks, for a busy machine."""

Look = Callable[[], Awaitable[None]]
"""Looks whether its own part changed, which must be cheap, and takes it up if so."""


class Versioned(Protocol):
    """A database that says whether somebody else has written."""

    async def version(self) -> int:
        """Return a number that changes whenever another connection commits."""
        ...


class Others:
    """Asks the database for one number a few times a second; only when it changed, every cache has a look.

    Args:
        database: that all processes write to.
    """

    __slots__ = ("_database", "_looks", "_seen", "_troubled")

    def __init__(self, database: Versioned) -> None:
        self._database = database
        self._looks: list[Look] = []
        self._seen: int | None = None
        self._troubled = False

    def watch(self, look: Look) -> None:
        """Have a cache look whenever somebody else has committed something."""
        self._looks.append(look)

    async def look(self) -> None:
        """Look now; what cannot be read changes nothing, and is looked at again the next time."""
        try:
            version = await self._database.version()
            if version == self._seen:
                return
            for look in self._looks:
                await look()
        except (StoreError, KeyringError) as error:
            self._seen = None
            if not self._troubled:
                logger.warning("what other processes changed is not seen for now: %s", error)
            self._troubled = True
        else:
            self._seen, self._troubled = version, False

    async def run(self) -> None:
        """Look again and again; never returns."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY)

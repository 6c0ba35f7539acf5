"""What a running server does by itself."""

import asyncio
import logging

from watchword.clock import Clock
from watchword.errors import StoreError
from watchword.storage.ledger import SqlLedger

logger = logging.getLogger("watchword.app")

PURGE_SECONDS = 60.0
BATCH = 1_000


async def forget_expired(ledger: SqlLedger, clock: Clock, *, events_kept: float | None) -> None:
    """Forget what is over, once a minute and a batch at a time; never returns."""
    while True:
        pause = PURGE_SECONDS
        try:
            if await ledger.forget_expired(clock.now(), limit=BATCH, events_kept=events_kept) == BATCH:
                pause = 0.0  # there are more; requests in between go first
        except StoreError as error:
            logger.warning("expired values stay for now: %s", error)
        await asyncio.sleep(pause)

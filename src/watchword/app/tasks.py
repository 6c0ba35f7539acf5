"""What a running server does by itself."""

import asyncio
import contextlib
import logging

from watchword.audit.event import AuditEvent
from watchword.clock import Clock
from watchword.errors import CheckpointInvalid, KeyringError, StoreCorrupt, StoreError
from watchword.storage.audit_trail import AuditTrail
from watchword.storage.ledger import SqlLedger

logger = logging.getLogger("watchword.app")

PURGE_SECONDS = 60.0
CHECKPOINT_SECONDS = 3_600.0
BATCH = 1_000


async def forget_expired(ledger: SqlLedger, clock: Clock) -> None:
    """Forget what is over, once a minute and a batch at a time; never returns."""
    while True:
        pause = PURGE_SECONDS
        try:
            if await ledger.forget_expired(clock.now(), limit=BATCH) == BATCH:
                pause = 0.0  # there are more; requests in between go first
        except StoreError as error:
            logger.warning("expired values stay for now: %s", error)
        await asyncio.sleep(pause)


async def forget_events(audit: AuditTrail, clock: Clock, *, kept: float) -> None:
    """Forget events that are older than `kept` seconds, likewise; never returns."""
    while True:
        pause = PURGE_SECONDS
        try:
            if await audit.forget(clock.now(), kept=kept, limit=BATCH) == BATCH:
                pause = 0.0
        except (StoreError, KeyringError) as error:
            logger.warning("old events stay for now: %s", error)
        await asyncio.sleep(pause)


async def write_checkpoints(audit: AuditTrail, ledger: SqlLedger, clock: Clock) -> None:
    """Sign where the chains are, once an hour, after a look at the last signature; never returns."""
    await _look_at_last_checkpoint(audit, ledger, clock)
    while True:
        await write_checkpoint(audit, clock)
        await asyncio.sleep(CHECKPOINT_SECONDS)


async def write_checkpoint(audit: AuditTrail, clock: Clock) -> None:
    """Sign where the chains are now; what keeps that from being written is no reason to stop."""
    try:
        await audit.checkpoint(clock.now())
    except (StoreError, KeyringError) as error:
        logger.warning("no checkpoint of the audit for now: %s", error)


async def _look_at_last_checkpoint(audit: AuditTrail, ledger: SqlLedger, clock: Clock) -> None:
    try:
        await audit.demand_last_checkpoint()
    except (StoreCorrupt, CheckpointInvalid) as error:
        logger.error("the audit was changed while no server ran: %s", error)  # no trace
        event = AuditEvent(
            type="audit.broken", time=clock.now(), outcome="refused", reason=f"{error.code}: {error}"
        )
        with contextlib.suppress(StoreError):
            await ledger.record(event)
    except StoreError as error:
        logger.warning("the last checkpoint of the audit cannot be looked at now: %s", error)

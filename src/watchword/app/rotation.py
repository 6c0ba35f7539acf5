"""The keys of a running server live their lives by themselves; their store tells the audit of each step."""

import asyncio
import logging

from watchword.app.audit_log import Demand, not_demanded
from watchword.clock import Clock
from watchword.errors import KeyringError, StoreError
from watchword.keys.issuer import RELOAD_SECONDS, Issuer
from watchword.keys.rotation import Evidence, RotationPolicy, Step, Wait
from watchword.storage.ledger import SqlLedger

logger = logging.getLogger("watchword.app")

LOOK_EVERY = 60.0
_SOONEST = 0.05
_MAX_STEPS = 8  # more in a row than any keyring needs


async def rotate_keys(
    issuer: Issuer,
    policy: RotationPolicy,
    ledger: SqlLedger,
    clock: Clock,
    *,
    demand_log: Demand = not_demanded,
) -> None:
    """Do each step of the planner when it is due, unless the audit log cannot be written; never returns."""
    while True:
        pause = await rotate_due(issuer, policy, ledger, clock, demand_log=demand_log)
        await asyncio.sleep(pause)


async def rotate_due(
    issuer: Issuer,
    policy: RotationPolicy,
    ledger: SqlLedger,
    clock: Clock,
    *,
    demand_log: Demand = not_demanded,
) -> float:
    """Do every step that is due now; return how many seconds to wait before looking again."""
    try:
        demand_log()
        for _ in range(_MAX_STEPS):
            step = await _step(issuer, policy, ledger)
            if isinstance(step, Wait):
                return min(max(step.until - clock.now(), _SOONEST), LOOK_EVERY)
    except (KeyringError, StoreError) as error:
        logger.warning("the keys stay as they are for now: %s", error)
    return LOOK_EVERY


async def _step(issuer: Issuer, policy: RotationPolicy, ledger: SqlLedger) -> Step:
    evidence = Evidence(await ledger.live_until())
    # a key is made and files are written: not on the event loop
    step = await asyncio.to_thread(issuer.rotate, policy, evidence)
    if not isinstance(step, Wait):
        logger.info("%s key %s", type(step).__name__.lower(), step.kid)
    return step


async def look_at_keys(issuer: Issuer) -> None:
    """See what others do to the keys, so that no request waits for where they live; never returns."""
    while True:
        await asyncio.sleep(RELOAD_SECONDS)
        await asyncio.to_thread(issuer.look)

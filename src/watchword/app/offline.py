"""An operation while no server runs: the same use-cases on the same parts, and nobody listens."""

import asyncio
import os
from typing import Any

import msgspec

from watchword.app.config import ServerSettings
from watchword.app.parts import opened_parts
from watchword.authority.admin.operation import OPERATOR_SPACE
from watchword.authority.admin.perform import perform
from watchword.authority.admin.table import OPERATIONS
from watchword.authority.applied_trust import stored_trust
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import SYSTEM_CLOCK, Clock
from watchword.errors import ConfigurationError


def perform_offline(
    settings: ServerSettings, name: str, body: bytes, *, clock: Clock = SYSTEM_CLOCK
) -> dict[str, Any]:
    """Carry out one operation with the data folder held exclusively; return what it tells.

    Raises:
        ConfigurationError: nothing changes and there is no data folder to look into.
        StoreUnavailable: a server holds the folder.
        WatchwordError: why the operation was not carried out.
    """
    if not OPERATIONS[name].changes and not settings.database.exists():
        raise ConfigurationError(
            f"WATCHWORD_DATABASE: expected the database of a token service, found nothing at"
            f" {settings.database}; run this where the server runs, with the same settings"
        )
    if settings.keys == "memory:" and name.startswith("keys."):
        raise ConfigurationError(
            "WATCHWORD_KEYS: memory: keeps the keys in the process of the server, and none answers at"
            f" {settings.operators_socket}"
        )
    os.umask(0o077)  # whatever it was: files that are made from here on are for this user alone
    return asyncio.run(_perform(settings, name, body, clock))


async def _perform(settings: ServerSettings, name: str, body: bytes, clock: Clock) -> dict[str, Any]:
    async with opened_parts(settings, clock=clock) as parts:
        trust = TrustInForce(await stored_trust(parts.trust_store))
        context = parts.administration(trust, settings.rotation)
        told = await perform(context, name, body, f"{OPERATOR_SPACE}{os.geteuid()}")
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))
        return plain

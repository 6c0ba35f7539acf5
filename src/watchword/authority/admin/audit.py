"""The operator's hand on the audit: a checkpoint to keep elsewhere, and the key by which it is verified."""

from collections.abc import Mapping
from typing import Any

import msgspec

from watchword.authority.admin.operation import AdminContext, Nothing, Operation


class SignedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A signed statement of where all chains are."""

    statement: str
    """A compact JWS of type `watchword-audit-checkpoint+jwt`."""


class AuditKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys of the audit."""

    keys: list[dict[str, Any]]
    """JWKs: together a JWK Set (RFC 7517 §5)."""


async def checkpoint(context: AdminContext, _: Nothing, __: str) -> SignedCheckpoint:
    """Sign where the chains are now, and keep the statement."""
    return SignedCheckpoint(statement=await context.audit.checkpoint(context.clock.now()))


async def keys(context: AdminContext, _: Nothing, __: str) -> AuditKeys:
    """Tell by which keys statements about the audit are verified."""
    return AuditKeys(keys=[dict(jwk) for jwk in context.audit_keys().to_dict()["keys"]])


OPERATIONS: Mapping[str, Operation] = {
    "audit.checkpoint": Operation(Nothing, checkpoint),
    "audit.keys": Operation(Nothing, keys),
}

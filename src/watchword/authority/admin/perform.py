"""Carries out one operation, whoever brought it here: the socket of a server or the command line alone."""

import contextlib
from typing import Any

import msgspec

from watchword.audit.event import AuditEvent
from watchword.authority.admin.operation import AdminContext
from watchword.authority.admin.table import OPERATIONS
from watchword.authority.door import reason_of
from watchword.errors import OperationInvalid, StoreError, WatchwordError

REQUESTED = "operation.requested"
REFUSED = "operation.refused"


async def perform(context: AdminContext, name: str, body: bytes, operator: str) -> Any:
    """Carry out an operation and return what it tells.

    Args:
        context: what it works on.
        name: of the operation, as in `keys.show`.
        body: its request in JSON.
        operator: who asks: `operator|<uid>`.

    Raises:
        OperationInvalid: no such operation, or not its request.
        WatchwordError: why it was not carried out.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        raise OperationInvalid("there is no such operation")
    try:
        request = msgspec.json.decode(body, type=operation.request)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise OperationInvalid(f"{name}: expected its request in JSON: {str(error).lower()}") from None
    if not operation.changes:
        return await operation.deed(context, request, operator)
    async with context.changing:
        try:
            context.demand_log()
            if operation.announced:
                await context.ledger.record(_event(context, REQUESTED, name, request, operator))
            return await operation.deed(context, request, operator)
        except WatchwordError as error:
            event = _event(context, REFUSED, f"{name}: {reason_of(error)}", request, operator, refused=True)
            with contextlib.suppress(StoreError):  # nothing happened, and the operator is told why
                await context.ledger.record(event)
            raise


def _event(
    context: AdminContext, kind: str, reason: str, request: Any, operator: str, *, refused: bool = False
) -> AuditEvent:
    return AuditEvent(
        type=kind,
        time=context.clock.now(),
        outcome="refused" if refused else "allowed",
        actor=operator,
        client=getattr(request, "client_id", None),
        kid=getattr(request, "kid", None),
        reason=reason,
    )

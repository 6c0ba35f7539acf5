"""`watchword serve` with a ledger that writes nothing: it exists only here, to say what the audit costs."""

import sys
from collections.abc import Sequence

from watchword.audit.event import AuditEvent
from watchword.cli import main
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage.ledger import SqlLedger


async def record(
    self: SqlLedger,
    event: AuditEvent,
    *,
    consume: Sequence[Consumption] = (),
    issued: IssuedToken | None = None,
) -> None:
    """Write nothing and use nothing up."""


if __name__ == "__main__":
    SqlLedger.record = record  # type: ignore[method-assign, assignment]
    sys.argv = ["watchword", "serve"]
    main()

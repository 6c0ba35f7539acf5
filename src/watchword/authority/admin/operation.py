"""What an administrative operation is: a request, a deed, and whether it changes anything."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import Clock
from watchword.errors import ConfirmationRequired
from watchword.grants.stores import TrustStore
from watchword.keys.issuer import Issuer
from watchword.keys.rotation import RotationPolicy
from watchword.storage.audit_trail import AuditTrail
from watchword.storage.database import Database
from watchword.storage.ledger import SqlLedger
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.jws import MAX_KID_LENGTH

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KID_LENGTH)]
"""A `kid` or a `client_id`: bounded, since it comes back in words."""

OPERATOR_SPACE = "operator|"
"""The name space of operators in the audit's `actor`."""


@dataclass(frozen=True, slots=True)
class AdminContext:
    """What operations work on: the parts of one token service, running or opened for this purpose alone."""

    issuer: Issuer
    policy: RotationPolicy
    """How long a key lives in each state."""
    trust: TrustInForce
    """What requests are decided by; an operation that changes trust or clients replaces it."""
    trust_store: TrustStore
    ledger: SqlLedger
    audit: AuditTrail
    audit_keys: Callable[[], JWKSet]
    """The public keys by which statements about the audit are verified."""
    reseal: Callable[[str], str | None]
    """Seals every key anew for this operator; blocks, and returns the name of the sealing key."""
    database: Database
    writer: str
    """Names the writer in each event."""
    clock: Clock
    demand_log: Callable[[], None] = lambda: None
    """Raises `AuditLogUnavailable` while the audit log cannot be written; never waits."""
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever changes something: operations that change come one after the other."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of all requests: a JSON object, in which an unknown member is an error."""


class Nothing(Request, frozen=True):
    """A request that says nothing more."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table of operations.

    The deed takes the context, the request and the operator (`operator|<uid>`, the `actor` of its audit
    event) and returns a JSON-able value. What changes, changes in one transaction with its event.
    """

    request: type[Request]
    deed: Callable[[AdminContext, Any, str], Awaitable[Any]]
    changes: bool = False
    """Whether it changes anything: then its refusal is an event too."""
    announced: bool = False
    """Whether the wish is an event of its own, durable before anything happens."""


def demand_confirmation(named: str, confirmed: str | None) -> None:
    """Demand that the thing was named twice.

    Raises:
        ConfirmationRequired: it was not, or another one was.
    """
    if confirmed != named:
        found = "nothing" if confirmed is None else "another name"
        raise ConfirmationRequired(
            f"this takes hold at once: expected --confirm {named}, found {found}; nothing was changed"
        )

"""One deed, as a value: it is written in the same transaction as the change that it describes."""

from typing import Literal

import msgspec

Outcome = Literal["allowed", "refused"]


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happened. Sequence, writer and chain columns are the store's matter, not the deed's.

    Holds names and identifiers only: never a token, a key or a secret. Texts that come from outside are
    cut and escaped by whoever writes them out, not here.
    """

    type: str
    """`noun.past_tense`: `token.issued`, `token.exchanged`, `token.refused`, `trust.applied`, …"""
    time: float
    """Seconds since the epoch."""
    outcome: Outcome = "allowed"
    actor: str | None = None
    """Who did it: the current actor of a delegated token, or the operator."""
    client: str | None = None
    """The authenticated client."""
    subject: str | None = None
    """`sub` of the token it is about."""
    audience: str | None = None
    jti: str | None = None
    parent_jti: str | None = None
    """`jti` of the subject token of an exchange."""
    txn: str | None = None
    kid: str | None = None
    reason: str | None = None
    """A stable snake_case code or the name of a rule; for derived scopes, which they are."""
    request_id: str | None = None

"""The chain that seals events: each hash covers its event and, through the one before it, all of its writer.

`hash = SHA-256(previous hash ‖ canonical bytes)`. The canonical bytes are one MessagePack array of every
covered column in the order of `COVERED`, in its shortest forms: text as UTF-8 with its length before it, the
time as an IEEE 754 double, what is absent as nil. No two different rows have the same bytes, and a few lines
in any language make them. A column that is added one day stands last and is left out where it is absent, so
that old rows keep their bytes.

The chain has no key: it shows every change that does not rewrite all that follows, and a signed checkpoint
(`watchword.audit.checkpoint`) shows that too.
"""

import hashlib
from collections.abc import Sequence

import msgspec

COVERED = (
    "sequence", "writer", "time", "type", "outcome", "actor", "client", "subject", "audience", "jti",
    "parent_jti", "txn", "kid", "reason", "request_id",
)  # fmt: skip
"""The columns of an event, in the order in which they are hashed: all but the two of the chain itself."""

GENESIS = bytes(32)
"""The previous hash of a writer's first event."""

_encode = msgspec.msgpack.Encoder().encode


def canonical(values: Sequence[str | int | float | bytes | None]) -> bytes:
    """Return the one form of an event that is hashed.

    Args:
        values: of `COVERED`, in that order.

    Raises:
        UnicodeError: a lone surrogate, which no stored text has.
    """
    return _encode(values)


def link(previous: bytes, values: Sequence[str | int | float | bytes | None]) -> bytes:
    """Return the hash of an event that follows the one with the hash `previous` in its writer's chain."""
    return hashlib.sha256(previous + _encode(values)).digest()

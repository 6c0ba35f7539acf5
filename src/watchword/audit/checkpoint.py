"""Checkpoints: signed statements of where all chains are. A chain can be written anew, a signature cannot.

A checkpoint that was exported holds the chain against whoever has the database. An anchor is the same
statement about what was forgotten: it says where the chains stood when their oldest events were deleted by
the rule of retention, and has a type of its own, so that no checkpoint can excuse a deletion.
"""

from binascii import unhexlify
from typing import Annotated

import msgspec
from msgspec import Meta

from watchword.errors import CheckpointInvalid, TokenError
from watchword.tokens import base64url, jws, strict_json
from watchword.tokens.jwk_set import JWKSet
from watchword.tokens.private_key import PrivateKey

CHECKPOINT = "watchword-audit-checkpoint+jwt"
ANCHOR = "watchword-audit-anchor+jwt"
"""The values of `typ`."""
MAX_LENGTH = 1 << 20

_Number = Annotated[int, Meta(ge=0)]


class ChainTail(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the chain of one writer is."""

    writer: str
    sequence: _Number
    """The number of its last event."""
    hash: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    """Of that event, hex."""
    events: _Number
    """How many events it has had, the forgotten ones too."""

    @property
    def hash_bytes(self) -> bytes:
        """The hash as it stands in the next event's `previous_hash`."""
        return unhexlify(self.hash)


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where all chains of an installation are at a moment."""

    iss: str
    """The issuer whose installation this is."""
    iat: float
    """Seconds since the epoch."""
    sequence: _Number
    """The number of the last event of all."""
    unchained: _Number
    """Events up to this number are older than the chain and have no hash."""
    chains: tuple[ChainTail, ...] = ()
    """By writer."""


def signed(checkpoint: Checkpoint, key: PrivateKey, *, typ: str = CHECKPOINT) -> str:
    """Return the statement as a compact JWS (RFC 7515 §3.1)."""
    header = jws.encode_header(key.alg, key.kid, typ)
    signing_input = header + b"." + base64url.encode(strict_json.encode(checkpoint))
    return (signing_input + b"." + base64url.encode(key.sign(signing_input))).decode("ascii")


def verified(statement: str, keys: JWKSet, *, typ: str = CHECKPOINT) -> Checkpoint:
    """Return what a statement says once its signature holds.

    Args:
        statement: the compact JWS.
        keys: the public audit keys.
        typ: `CHECKPOINT` or `ANCHOR`; one is never taken for the other.

    Raises:
        CheckpointInvalid: not such a statement, or not signed by one of these keys.
    """
    try:
        parts = jws.split(statement, MAX_LENGTH)
        header = jws.parse_header(parts.header)
        if header.typ != typ:
            raise CheckpointInvalid(f"expected a statement of type {typ}, found another")
        if header.kid is None:
            raise CheckpointInvalid("expected a statement that names its key")
        check = keys.named(header.kid).check(header.alg)
        check(base64url.decode(parts.signature), parts.signing_input)
        strict_json.decode_object(payload := base64url.decode(parts.payload))
        return msgspec.json.decode(payload, type=Checkpoint)
    except KeyError:
        raise CheckpointInvalid("expected the algorithm of its key, found another") from None
    except TokenError as error:
        raise CheckpointInvalid(f"expected a statement signed by the audit key: {error}") from error
    except msgspec.MsgspecError as error:
        raise CheckpointInvalid(f"expected the members of a checkpoint: {str(error).lower()}") from None

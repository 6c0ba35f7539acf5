"""Checkpoints and retention: signed statements go into the database, and the oldest events out of it."""

from collections.abc import Callable
from typing import NamedTuple

from watchword.audit.chain import COVERED
from watchword.audit.checkpoint import ANCHOR, CHECKPOINT, ChainTail, Checkpoint
from watchword.audit.verification import SealedEvent, Verifier
from watchword.errors import StoreCorrupt
from watchword.storage.database import Database, Intent, Statement

Sign = Callable[[Checkpoint, str], str]
"""Returns a statement of a `typ` as a compact JWS."""
Verify = Callable[[str, str], Checkpoint]
"""Returns what a statement of a `typ` says, or raises `CheckpointInvalid`."""

_TIME = COVERED.index("time")
_TAILS = "SELECT writer, sequence, hash, events FROM audit_chain ORDER BY writer"
_UNCHAINED = "SELECT sequence FROM audit_unchained WHERE id = 1"
_LAST = (
    "SELECT max((SELECT coalesce(max(sequence), 0) FROM audit_chain),"
    " (SELECT coalesce(max(sequence), 0) FROM audit_unchained))"
)
_LATEST = "SELECT sequence, statement FROM audit_checkpoint ORDER BY number DESC LIMIT 1"
_HASH = "SELECT hash FROM audit_event WHERE sequence = ?1 AND writer = ?2"
_ADD = "INSERT INTO audit_checkpoint (sequence, time, statement) VALUES (?1, ?2, ?3)"
_ANCHOR = "SELECT statement FROM audit_anchor WHERE id = 1"
_OLDEST = f"SELECT {', '.join(COVERED)}, previous_hash, hash FROM audit_event ORDER BY sequence LIMIT ?1"  # noqa: S608
_FORGET = "DELETE FROM audit_event WHERE sequence <= ?1"
_FORGET_CHECKPOINTS = "DELETE FROM audit_checkpoint WHERE sequence < ?1"
_MOVE_ANCHOR = (
    "INSERT INTO audit_anchor (id, sequence, statement) VALUES (1, ?1, ?2)"
    " ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, statement = excluded.statement"
    " WHERE excluded.sequence > audit_anchor.sequence"
)


class _Oldest(NamedTuple):
    """What may go now, and where the chains stand behind it."""

    events: int
    sequence: int
    chains: tuple[ChainTail, ...]


class AuditTrail:
    """The audit of one installation as its server keeps it.

    Args:
        database: with the events.
        issuer: whose installation it is.
        sign: with the audit key.
        verify: by the audit keys.
    """

    __slots__ = ("_database", "_issuer", "_sign", "_verify")

    def __init__(self, database: Database, *, issuer: str, sign: Sign, verify: Verify) -> None:
        self._database = database
        self._issuer = issuer
        self._sign = sign
        self._verify = verify

    async def checkpoint(self, now: float) -> str:
        """Return a signed checkpoint of all that is durable now; it is kept if it says something new.

        Raises:
            KeyringError: there is no audit key to sign with.
            StoreError: it could not be written.
        """
        sequence, unchained, chains, latest = await self._database.read(_balance())
        if latest is not None and latest[0] == sequence:
            return latest[1]
        checkpoint = Checkpoint(
            iss=self._issuer, iat=now, sequence=sequence, unchained=unchained, chains=chains
        )
        statement = self._sign(checkpoint, CHECKPOINT)
        await self._database.run(_written(_ADD, (sequence, now, statement)))
        return statement

    async def demand_last_checkpoint(self) -> None:
        """Return if the last checkpoint still says what is there; cheap, and no verification of the rest.

        Raises:
            StoreCorrupt: an event that it knows is gone or is another one.
            CheckpointInvalid: it is not signed by the audit key.
            StoreUnavailable: nobody can say now.
        """
        await self._database.read(self._last_checkpoint())

    async def forget(self, now: float, *, kept: float, limit: int = 1_000) -> int:
        """Forget at most `limit` events that are older than `kept` seconds; return how many went.

        Only the oldest go, up to the first that is not old enough: what is left of each chain still hangs
        together, from the signed anchor on. An event from before a clock was set right holds back what is
        behind it.

        Raises:
            StoreCorrupt: they are not as they were written, so they stay as evidence.
            KeyringError: there is no audit key to sign the anchor with.
            StoreError: nothing was forgotten.
        """
        oldest = await self._database.read(self._oldest(now - kept, limit))
        if oldest.events == 0:
            return 0
        unchained = (await self._database.read(_balance()))[1]
        anchor = Checkpoint(
            iss=self._issuer, iat=now, sequence=oldest.sequence, unchained=unchained, chains=oldest.chains
        )
        await self._database.run(_forget(oldest.sequence, self._sign(anchor, ANCHOR)))
        return oldest.events

    def _last_checkpoint(self) -> Intent[None]:
        latest = yield Statement(_LATEST)
        stored = yield Statement(_ANCHOR)
        if not latest.rows:
            return
        checkpoint = self._verify(str(latest.rows[0][1]), CHECKPOINT)
        forgotten = self._verify(str(stored.rows[0][0]), ANCHOR).sequence if stored.rows else 0
        for tail in checkpoint.chains:
            found = yield Statement(_HASH, (tail.sequence, tail.writer))
            if tail.sequence > forgotten and found.rows != [(tail.hash_bytes,)]:
                raise StoreCorrupt(
                    f"the last checkpoint knows event {tail.sequence} of writer {tail.writer:.40},"
                    " which is gone or another one; look at it with watchword audit verify"
                )

    def _oldest(self, before: float, limit: int) -> Intent[_Oldest]:
        stored = yield Statement(_ANCHOR)
        unchained = yield Statement(_UNCHAINED)
        found = yield Statement(_OLDEST, (limit,))
        anchor = self._verify(str(stored.rows[0][0]), ANCHOR) if stored.rows else None
        verifier = Verifier(unchained=int(unchained.rows[0][0] or 0), anchor=anchor)
        events = 0
        for row in found.rows:
            if float(row[_TIME] or 0) >= before:
                break
            verifier.add(SealedEvent(row[:-2], row[-2], row[-1]))
            events += 1
        if verifier.findings:
            raise StoreCorrupt(
                f"old events are not as they were written, so they stay: {verifier.findings[0].text};"
                " look at them with watchword audit verify"
            )
        return _Oldest(events, verifier.last, verifier.tails)


_Balance = tuple[int, int, tuple[ChainTail, ...], tuple[int, str] | None]


def _balance() -> Intent[_Balance]:
    last = yield Statement(_LAST)
    unchained = yield Statement(_UNCHAINED)
    tails = yield Statement(_TAILS)
    latest = yield Statement(_LATEST)
    chains = tuple(
        ChainTail(
            writer=str(writer),
            sequence=int(sequence or 0),
            hash=digest.hex() if isinstance(digest, bytes) else "",
            events=int(events or 0),
        )
        for writer, sequence, digest, events in tails.rows
    )
    newest = (int(latest.rows[0][0] or 0), str(latest.rows[0][1])) if latest.rows else None
    return int(last.rows[0][0] or 0), int(unchained.rows[0][0] or 0), chains, newest


def _written(sql: str, parameters: tuple[int | float | str, ...]) -> Intent[None]:
    yield Statement(sql, parameters)


def _forget(sequence: int, statement: str) -> Intent[None]:
    yield Statement(_FORGET, (sequence,))
    yield Statement(_MOVE_ANCHOR, (sequence, statement))
    yield Statement(_FORGET_CHECKPOINTS, (sequence,))

"""The ledger in SQL: deeds, single use, expiries and refusals, as intents."""

import asyncio
from collections.abc import Sequence

import msgspec

from watchword.audit.event import AuditEvent
from watchword.errors import AlreadyConsumed, StoreUnavailable
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage.database import Database, Intent, Statement, Value
from watchword.storage.refusals import RefusalCounter, Refusals

_MAX_TEXT = 1_024
_FLUSH_SECONDS = 1.0
_COLUMNS = (
    "time", "type", "outcome", "actor", "client", "subject", "audience", "jti", "parent_jti", "txn", "kid",
    "reason", "request_id",
)  # fmt: skip

_NUMBERED = ", ".join(f"?{number}" for number in range(1, len(_COLUMNS) + 2))
# the names are ours: no value ever stands in the text of a statement
_APPEND = f"INSERT INTO audit_event (writer, {', '.join(_COLUMNS)}) VALUES ({_NUMBERED})"  # noqa: S608
_CONSUME = "INSERT INTO consumed (kind, id, expires) VALUES (?1, ?2, ?3) ON CONFLICT (kind, id) DO NOTHING"
_COUNT_TOKEN = (
    "INSERT INTO token_expiry (kid, minute, tokens) VALUES (?1, ?2, 1)"
    " ON CONFLICT (kid, minute) DO UPDATE SET tokens = token_expiry.tokens + 1"
)
_COUNT_REFUSALS = (
    "INSERT INTO refusal (reason, minute, refusals) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (reason, minute) DO UPDATE SET refusals = refusal.refusals + excluded.refusals"
)
_SAMPLE = (
    "INSERT INTO refusal_sample (reason, minute, number, event) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT (reason, minute, number) DO NOTHING"
)
_EVENTS = (
    f"SELECT sequence, {', '.join(_COLUMNS)} FROM audit_event WHERE sequence > ?1 ORDER BY sequence LIMIT ?2"  # noqa: S608
)
_FORGET = (
    "DELETE FROM consumed WHERE (kind, id) IN (SELECT kind, id FROM consumed WHERE expires < ?1 LIMIT ?2)"
)


class SqlLedger:
    """A `Ledger` and `AuditReader` on any database that carries out intents.

    Args:
        database: where to.
        writer: names the writer in each event.
    """

    def __init__(self, database: Database, *, writer: str) -> None:
        self._database = database
        self._writer = writer
        self._counter = RefusalCounter()
        self._flushing: asyncio.Task[None] | None = None

    async def record(
        self,
        event: AuditEvent,
        *,
        consume: Sequence[Consumption] = (),
        issued: IssuedToken | None = None,
    ) -> None:
        """Write the event, use up what works once and count the token: all or nothing, durable on return."""
        await self._database.run(self._record(event, consume, issued))

    async def count_refusal(self, reason: str, *, sample: AuditEvent) -> None:
        """Count a refusal in memory; it is written with all others at most once a second."""
        self._counter.count(reason, sample)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush_later())

    async def events(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Return events with a sequence number above `after`, oldest first, with their numbers."""
        return await self._database.read(_events(after, limit))

    async def refusals(self) -> dict[str, int]:
        """Return how often each reason was counted, over all time that is kept."""
        await self.flush()
        return await self._database.read(_refusals())

    async def forget_expired(self, now: float, *, limit: int = 1_000) -> int:
        """Forget at most `limit` single-use values whose time is over; return how many."""
        return await self._database.run(_forget(now, limit))

    async def flush(self) -> None:
        """Write the refusals that were counted since the last time.

        Raises:
            StoreUnavailable: they stay counted in memory for the next time.
        """
        refusals = self._counter.take()
        try:
            if refusals:
                await self._database.run(_write_refusals(refusals))
        except StoreUnavailable:
            self._counter.put_back(refusals)
            raise

    async def aclose(self) -> None:
        """Write what was counted; the database stays open."""
        if self._flushing is not None:
            self._flushing.cancel()
        try:
            await self.flush()
        except StoreUnavailable:
            return  # counters that cannot be written must not keep a server from stopping

    async def _flush_later(self) -> None:
        await asyncio.sleep(_FLUSH_SECONDS)
        try:
            await self.flush()
        except StoreUnavailable:
            return  # the next refusal tries again

    def _record(
        self, event: AuditEvent, consume: Sequence[Consumption], issued: IssuedToken | None
    ) -> Intent[None]:
        for value in consume:
            done = yield Statement(_CONSUME, value)
            if done.changed != 1:
                raise AlreadyConsumed(f"a {value.kind} was used before")
        if issued is not None:
            yield Statement(_COUNT_TOKEN, (issued.kid, int(issued.expires // 60)))
        yield append(event, writer=self._writer)


def append(event: AuditEvent, *, writer: str) -> Statement:
    """Return the statement that writes an event; every intent that changes something yields one."""
    return Statement(_APPEND, (writer, *(storable(getattr(event, name)) for name in _COLUMNS)))


def storable(value: Value) -> Value:
    """Return text cut to a kibibyte and without lone surrogates, which no database keeps."""
    if not isinstance(value, str):
        return value
    cut = value if len(value) <= _MAX_TEXT else value[: _MAX_TEXT - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode("utf-8")


def _events(after: int, limit: int) -> Intent[list[tuple[int, AuditEvent]]]:
    found = yield Statement(_EVENTS, (after, limit))
    return [
        (int(row[0] or 0), msgspec.convert(dict(zip(_COLUMNS, row[1:], strict=True)), AuditEvent))
        for row in found.rows
    ]


def _refusals() -> Intent[dict[str, int]]:
    found = yield Statement("SELECT reason, SUM(refusals) FROM refusal GROUP BY reason ORDER BY reason")
    return {str(reason): int(count or 0) for reason, count in found.rows}


def _forget(now: float, limit: int) -> Intent[int]:
    done = yield Statement(_FORGET, (now, limit))
    return done.changed


def _write_refusals(refusals: Refusals) -> Intent[None]:
    for (reason, minute), counted in refusals.items():
        yield Statement(_COUNT_REFUSALS, (reason, minute, counted.refusals))
        for number, sample in enumerate(counted.samples):
            text = msgspec.json.encode(
                {name: storable(value) for name, value in msgspec.to_builtins(sample).items()}
            ).decode()
            yield Statement(_SAMPLE, (reason, minute, number, text))

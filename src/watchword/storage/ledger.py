"""The ledger in SQL: deeds, single use, expiries and refusals, as intents."""

import asyncio
from collections.abc import Sequence

from watchword.audit.event import AuditEvent
from watchword.errors import AlreadyConsumed, StoreError
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage.database import Append, Database, Intent, Statement
from watchword.storage.events import append, events
from watchword.storage.forgetting import forget
from watchword.storage.refusals import RefusalCounter, refusals, write_refusals

_FLUSH_SECONDS = 1.0
_CONSUME = "INSERT INTO consumed (kind, id, expires) VALUES (?1, ?2, ?3) ON CONFLICT (kind, id) DO NOTHING"
_COUNT = "INSERT INTO token_expiry (minute, kid, tokens)"
_COUNT_ON = "ON CONFLICT (minute, kid) DO UPDATE SET tokens = token_expiry.tokens + excluded.tokens"
_LIVE = "SELECT kid, SUM(tokens) FROM token_expiry WHERE minute >= ?1 GROUP BY kid ORDER BY kid"


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
        self._due: asyncio.TimerHandle | None = None
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
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._begin_flush)

    async def events(self, *, after: int = 0, limit: int = 100) -> list[tuple[int, AuditEvent]]:
        """Return events with a sequence number above `after`, oldest first, with their numbers."""
        return await self._database.read(events(after, limit))

    async def refusals(self) -> dict[str, int]:
        """Return how often each reason was counted, over all time that is kept."""
        await self.flush()
        return await self._database.read(refusals())

    async def live_tokens(self, now: float) -> dict[str, int]:
        """Return how many tokens that have not expired each `kid` has signed; exact to the minute."""
        return await self._database.read(_live_tokens(now))

    async def live_until(self) -> dict[str, float]:
        """Return when the last token that each `kid` has signed expires; rounded up to the minute."""
        return await self._database.read(_live_until())

    async def forget_expired(self, now: float, *, limit: int = 1_000) -> int:
        """Forget what is over, at most `limit` rows of each table; `limit` comes back if there is more."""
        return await self._database.run(forget(now, limit))

    async def flush(self) -> None:
        """Write the refusals that were counted since the last time.

        Raises:
            StoreUnavailable: they stay counted in memory for the next time.
        """
        counted = self._counter.take()
        try:
            if counted:
                await self._database.run(write_refusals(counted))
        except BaseException:
            self._counter.put_back(counted)
            raise

    async def aclose(self) -> None:
        """Write what was counted; the database stays open."""
        if self._due is not None:
            self._due.cancel()
        if self._flushing is not None:
            await self._flushing
        try:
            await self.flush()
        except StoreError:
            return  # counters that cannot be written must not keep a server from stopping

    def _begin_flush(self) -> None:
        self._flushing = asyncio.get_running_loop().create_task(self._flush_quietly())

    async def _flush_quietly(self) -> None:
        try:
            await self.flush()
        except StoreError:
            return  # they stay counted, and the next refusal tries again
        finally:
            self._due = None

    def _record(
        self, event: AuditEvent, consume: Sequence[Consumption], issued: IssuedToken | None
    ) -> Intent[None]:
        for value in consume:
            done = yield Statement(_CONSUME, value)
            if done.changed != 1:
                raise AlreadyConsumed(f"a {value.kind} was used before")
        if issued is not None:
            yield Append(_COUNT, (int(issued.expires // 60), issued.kid), _COUNT_ON, amount=1)
        yield append(event, writer=self._writer)


def _live_until() -> Intent[dict[str, float]]:
    found = yield Statement("SELECT kid, MAX(minute) FROM token_expiry GROUP BY kid")
    return {str(kid): (int(minute or 0) + 1) * 60.0 for kid, minute in found.rows}


def _live_tokens(now: float) -> Intent[dict[str, int]]:
    found = yield Statement(_LIVE, (int(now // 60),))
    return {str(kid): int(tokens or 0) for kid, tokens in found.rows}

"""What a ledger and a trust store must do, as suites: an adapter's test is a class and one method.

```python
class TestOurLedger(LedgerContract):
    @asynccontextmanager
    async def open(self, folder: Path) -> AsyncIterator[FullLedger]:
        yield OurLedger(folder)
```
"""

import asyncio
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from watchword.audit.event import AuditEvent
from watchword.errors import AlreadyConsumed, ChangedMeanwhile, StoreError
from watchword.grants.stores import (
    NO_DOCUMENT,
    AppliedTrust,
    AuditReader,
    Consumption,
    IssuedToken,
    Ledger,
    TrustStore,
)
from watchword.trust.registration import Registration

NOW = 1_790_000_000.0


class FullLedger(Ledger, AuditReader, Protocol):
    """A ledger that can also be read."""

    async def refusals(self) -> dict[str, int]:
        """Return how often each reason was counted."""
        ...

    async def live_tokens(self, now: float) -> dict[str, int]:
        """Return how many tokens that have not expired each `kid` has signed."""
        ...

    async def forget_expired(self, now: float, *, limit: int = 1_000) -> int:
        """Forget what is over, at most `limit` of each kind."""
        ...


def event(jti: str = "a", **members: Any) -> AuditEvent:
    """Return an event as a token endpoint writes it."""
    return AuditEvent(type="token.issued", time=NOW, client="posts", jti=jti, **members)


class LedgerContract(ABC):
    """Every promise of `Ledger`, `AuditReader` and single use."""

    durable = True
    """What was written is there when it is opened again."""

    @abstractmethod
    def open(self, folder: Path) -> AbstractAsyncContextManager[FullLedger]:
        """Open the ledger that lives in this folder; empty the first time."""

    def test_an_event_is_read_as_it_was_written(self, tmp_path: Path) -> None:
        """Nothing is lost on the way."""
        written = event(
            "j", subject="people|john", audience="users", txn="t", kid="k", reason="services.users"
        )

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                await ledger.record(written)
                assert [found for _, found in await ledger.events()] == [written]

        asyncio.run(story())

    def test_events_are_numbered_in_the_order_in_which_they_were_written(self, tmp_path: Path) -> None:
        """Numbers rise, and reading goes on after one."""

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                for name in "abc":
                    await ledger.record(event(name))
                found = await ledger.events()
                assert [e.jti for _, e in found] == ["a", "b", "c"]
                numbers = [number for number, _ in found]
                assert numbers == sorted(set(numbers))
                assert [e.jti for _, e in await ledger.events(after=numbers[0], limit=1)] == ["b"]

        asyncio.run(story())

    @pytest.mark.threat(96, 177)
    def test_of_fifty_at_once_exactly_one_uses_a_value_up(self, tmp_path: Path) -> None:
        """Single use is decided by the store, not by whoever looked first."""
        once = Consumption("client_assertion", "x", NOW + 60)

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                outcomes = await asyncio.gather(
                    *(ledger.record(event(str(n)), consume=[once]) for n in range(50)), return_exceptions=True
                )
                assert [o for o in outcomes if o is None] == [None]
                assert sum(isinstance(o, AlreadyConsumed) for o in outcomes) == 49
                assert len(await ledger.events()) == 1

        asyncio.run(story())

    def test_a_used_value_takes_its_whole_deed_with_it(self, tmp_path: Path) -> None:
        """Neither the event, nor the count, nor another value of the same deed remains."""
        used, fresh = Consumption("code", "used", NOW + 60), Consumption("code", "fresh", NOW + 60)

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                await ledger.record(event("a"), consume=[used])
                for values in ([fresh, used], [used, fresh], [fresh, fresh]):
                    with pytest.raises(AlreadyConsumed):
                        await ledger.record(event("b"), consume=values, issued=IssuedToken("k", NOW))
                assert [e.jti for _, e in await ledger.events()] == ["a"]
                assert await ledger.live_tokens(NOW) == {}
                await ledger.record(event("c"), consume=[fresh])
                assert [e.jti for _, e in await ledger.events()] == ["a", "c"]

        asyncio.run(story())

    def test_kinds_do_not_meet(self, tmp_path: Path) -> None:
        """The same id of another kind is another value."""

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                await ledger.record(event(), consume=[Consumption("a", "x", NOW), Consumption("b", "x", NOW)])

        asyncio.run(story())

    def test_what_is_over_is_forgotten_in_bounded_steps_and_nothing_else_is(self, tmp_path: Path) -> None:
        """A value stays used up until its own end."""
        values = [Consumption("code", str(n), NOW - 1) for n in range(5)] + [
            Consumption("code", "live", NOW + 9)
        ]

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                await ledger.record(event(), consume=values)
                assert [await ledger.forget_expired(NOW, limit=3) for _ in range(3)] == [3, 2, 0]
                with pytest.raises(AlreadyConsumed):
                    await ledger.record(event(), consume=values[-1:])

        asyncio.run(story())

    def test_live_tokens_are_counted_by_key_until_their_minute_is_over(self, tmp_path: Path) -> None:
        """How long a key is still needed is known without a table of tokens."""
        lives = [("a", 30), ("a", 90), ("a", 90), ("b", 30)]

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                await asyncio.gather(
                    *(ledger.record(event(), issued=IssuedToken(kid, NOW + life)) for kid, life in lives)
                )
                assert await ledger.live_tokens(NOW) == {"a": 3, "b": 1}
                assert await ledger.live_tokens(NOW + 80) == {"a": 2}
                await ledger.forget_expired(NOW + 80)
                assert await ledger.live_tokens(NOW) == {"a": 2}

        asyncio.run(story())

    @pytest.mark.threat(186, 201)
    def test_hostile_text_is_kept_as_one_event_and_harms_nobody(self, tmp_path: Path) -> None:
        """Line ends, escapes, quotes, NUL and lone surrogates are text; what is too long is cut."""
        hostile = "a'; DROP TABLE audit_event; --\r\n\x00\x1b[31m\u202e\ud800?1 :x $1 %s \"" + "x" * 2_000_000

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                await asyncio.gather(
                    ledger.record(event("a", subject=hostile, request_id=hostile)),
                    ledger.record(event("b")),
                    ledger.count_refusal(hostile[:99], sample=event("c", subject=hostile)),
                )
                found = [e for _, e in await ledger.events()]
                assert sorted(str(e.jti) for e in found) == ["a", "b"]
                text = next(str(e.subject) for e in found if e.jti == "a")
                assert text.startswith(hostile[:30])
                assert len(text) < 2_000
                text.encode()  # can be written down
                assert sum((await ledger.refusals()).values()) == 1

        asyncio.run(story())

    @pytest.mark.threat(186)
    def test_an_odd_value_works_once_or_is_refused_and_harms_nobody(self, tmp_path: Path) -> None:
        """Neither a driver's error nor a neighbour's loss comes of it."""
        ids = ["", "'", '"', "\x00", "\ud800", "a" * 100_000, "a" * 99_999 + "b", "%", "\u202e", "?1", "null"]

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                for turn in range(2):
                    outcomes = await asyncio.gather(
                        *(ledger.record(event(), consume=[Consumption("code", i, NOW + 9)]) for i in ids),
                        ledger.record(event("neighbour")),
                        return_exceptions=True,
                    )
                    assert outcomes[-1] is None
                    for outcome in outcomes[:-1]:
                        assert isinstance(outcome, StoreError) or (turn == 0 and outcome is None)
                        if turn == 0:
                            assert not isinstance(outcome, AlreadyConsumed)

        asyncio.run(story())

    def test_refusals_are_counted_by_reason(self, tmp_path: Path) -> None:
        """A thousand refusals are a number, not a thousand events."""

        async def story() -> None:
            async with self.open(tmp_path) as ledger:
                for n in range(1_000):
                    await ledger.count_refusal("invalid_client" if n % 4 else "token_expired", sample=event())
                assert await ledger.refusals() == {"invalid_client": 750, "token_expired": 250}
                assert await ledger.events() == []

        asyncio.run(story())

    def test_what_was_answered_is_there_after_a_restart(self, tmp_path: Path) -> None:
        """Events, used values and counts."""
        if not self.durable:
            return
        once = Consumption("client_assertion", "x", NOW + 60)

        async def first() -> None:
            async with self.open(tmp_path) as ledger:
                await ledger.record(event("a"), consume=[once], issued=IssuedToken("k", NOW))
                await ledger.count_refusal("invalid_client", sample=event())

        async def second() -> None:
            async with self.open(tmp_path) as ledger:
                with pytest.raises(AlreadyConsumed):
                    await ledger.record(event("b"), consume=[once])
                await ledger.record(event("c"))
                found = await ledger.events()
                assert [e.jti for _, e in found] == ["a", "c"]
                assert found[1][0] > found[0][0]
                assert await ledger.refusals() == {"invalid_client": 1}
                assert await ledger.live_tokens(NOW) == {"k": 1}

        asyncio.run(first())
        asyncio.run(second())


class TrustStoreContract(ABC):
    """Every promise of `TrustStore`."""

    durable = True
    """What was applied is there when it is opened again."""

    @abstractmethod
    def open(self, folder: Path) -> AbstractAsyncContextManager[tuple[TrustStore, AuditReader]]:
        """Open the trust store that lives in this folder, and its audit; empty the first time."""

    def test_nothing_is_in_force_at_first(self, tmp_path: Path) -> None:
        """No document is not an empty one."""

        async def story() -> None:
            async with self.open(tmp_path) as (store, _):
                assert await store.applied() is None

        asyncio.run(story())

    def test_the_last_document_is_in_force_and_each_has_its_event(self, tmp_path: Path) -> None:
        """A document and the event that says so come together."""

        async def story() -> None:
            async with self.open(tmp_path) as (store, audit):
                seen = [await store.version()]
                for text in (b"one", b"two"):
                    applied = AuditEvent(type="trust.applied", time=NOW, reason=text.decode())
                    await store.apply(text, digest=text.hex(), source_digest=None, event=applied)
                    seen.append(await store.version())
                assert len(set(seen)) == 3
                found = await store.applied()
                assert found is not None
                assert (found.document, found.digest, found.applied_at) == (b"two", b"two".hex(), NOW)
                assert [e.reason for _, e in await audit.events()] == ["one", "two"]

        asyncio.run(story())

    def test_of_two_who_saw_the_same_document_only_the_first_replaces_it(self, tmp_path: Path) -> None:
        """Compare and set: whoever was overtaken is told so, and nothing is written for it."""

        async def story() -> None:
            async with self.open(tmp_path) as (store, audit):

                async def put(expected: str, name: str) -> None:
                    applied = AuditEvent(type="trust.applied", time=NOW, reason=name)
                    await store.apply(
                        name.encode(), digest=name, source_digest=None, event=applied, expected=expected
                    )

                for expected in (NO_DOCUMENT, "a"):
                    outcomes = await asyncio.gather(
                        *(put(expected, name) for name in "bcdefg"), return_exceptions=True
                    )
                    overtaken = [error for error in outcomes if error is not None]
                    assert len(overtaken) == 5
                    assert all(isinstance(error, ChangedMeanwhile) for error in overtaken)
                    if expected == NO_DOCUMENT:
                        found = await store.applied()
                        assert found is not None
                        await put(found.digest, "a")
                assert len(await audit.events()) == 3

        asyncio.run(story())

    def test_a_registration_is_replaced_by_whoever_saw_it_last_with_its_event(self, tmp_path: Path) -> None:
        """Compare and set by version; the number that caches look at changes with it."""
        first = Registration("posts").with_secret("a" * 64, NOW)

        async def story() -> None:
            async with self.open(tmp_path) as (store, audit):
                assert await store.registrations() == ()
                seen = [await store.version()]
                for _ in range(2):
                    added = AuditEvent(type="client.added", time=NOW, client="posts")
                    try:
                        await store.register(first, event=added)
                    except ChangedMeanwhile:
                        break
                else:
                    pytest.fail("a version was saved twice")
                (found,) = await store.registrations()
                assert (found.version, found.credentials) == (1, first.credentials)
                seen.append(await store.version())
                disabled = AuditEvent(type="client.disabled", time=NOW, client="posts")
                await store.register(replace(found, disabled_since=NOW), event=disabled)
                seen.append(await store.version())
                assert len(set(seen)) == 3
                assert [e.type for _, e in await audit.events()] == ["client.added", "client.disabled"]

        async def later() -> None:
            async with self.open(tmp_path) as (store, _):
                (found,) = await store.registrations()
                assert (found.version, found.disabled_since) == (2, NOW)

        asyncio.run(story())
        if self.durable:
            asyncio.run(later())

    def test_registrations_end_with_the_document_before_or_nothing_happens(self, tmp_path: Path) -> None:
        """In one transaction: a registration that somebody changed meanwhile stops the whole of it."""
        first = Registration("posts").with_secret("a" * 64, NOW)
        applied = AuditEvent(type="trust.applied", time=NOW)
        removed = AuditEvent(type="client.removed", time=NOW, client="posts")

        async def story() -> None:
            async with self.open(tmp_path) as (store, audit):
                await store.register(first, event=AuditEvent(type="client.added", time=NOW))
                (found,) = await store.registrations()
                ended = found.without_credentials()
                with pytest.raises(ChangedMeanwhile):
                    await store.apply(
                        b"new",
                        digest="n",
                        source_digest=None,
                        event=applied,
                        ended=[(replace(ended, version=7), removed)],
                    )
                assert await store.applied() is None
                await store.apply(
                    b"new", digest="n", source_digest=None, event=applied, ended=[(ended, removed)]
                )
                (found,) = await store.registrations()
                assert (found.version, found.credentials) == (2, ())
                kinds = [e.type for _, e in await audit.events()]
                assert kinds == ["client.added", "trust.applied", "client.removed"]

        asyncio.run(story())

    def test_a_document_comes_back_byte_for_byte_after_a_restart(self, tmp_path: Path) -> None:
        """With the digest of the file that it came from."""
        document = bytes(range(256)) * 1_000

        async def first() -> None:
            async with self.open(tmp_path) as (store, _):
                applied = AuditEvent(type="trust.applied", time=NOW)
                await store.apply(document, digest="d", source_digest="s", event=applied)
                assert await store.applied() == AppliedTrust("d", "s", document, NOW)

        async def second() -> None:
            async with self.open(tmp_path) as (store, _):
                assert await store.applied() == AppliedTrust("d", "s", document, NOW)

        asyncio.run(first())
        if self.durable:
            asyncio.run(second())

"""As many events as tokens, whatever is asked at once and however often the same value comes."""

import asyncio
from collections import Counter
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchword.errors import AlreadyConsumed
from watchword.grants.stores import Consumption, IssuedToken
from watchword.storage.ledger import SqlLedger
from watchword.storage.sqlite import open_sqlite

from .conftest import event, in_one_batch, names

deeds = st.tuples(
    st.lists(st.sampled_from("abcdef"), max_size=3),
    st.sampled_from(["k1", "k2"]),
    st.integers(0, 300),
)


@pytest.mark.threat(177, 203)
def test_events_tokens_and_used_values_always_agree(path: Path) -> None:
    turns = count()

    async def story(batches: list[list[tuple[list[str], str, int]]]) -> None:
        turn = f"{next(turns)}-"  # its own values in the one database
        before = await ledger.events(limit=100_000)
        used, kids = [], []
        for batch in batches:
            outcomes = await in_one_batch(
                database,
                *(
                    ledger.record(
                        event("x"),
                        consume=[Consumption("code", turn + i, 1e12) for i in ids],
                        issued=IssuedToken(turn + kid, 600.0 + life),
                    )
                    for ids, kid, life in batch
                ),
            )
            assert {type(outcome) for outcome in outcomes} <= {type(None), AlreadyConsumed}
            for (ids, kid, _), outcome in zip(batch, outcomes, strict=True):
                taken = len(set(ids)) < len(ids) or any(turn + i in used for i in ids)
                assert taken == (outcome is not None)  # as if one after the other
                if outcome is None:
                    used += [turn + i for i in ids]
                    kids.append(turn + kid)
        after = await ledger.events(limit=100_000)
        assert len(after) - len(before) == len(kids)
        assert [number for number, _ in after] == list(range(1, len(after) + 1))
        live = await ledger.live_tokens(0)
        assert {kid: n for kid, n in live.items() if kid.startswith(turn)} == Counter(kids)
        assert [n for n in await database.read(names()) if n.startswith(turn)] == sorted(used)

    @settings(max_examples=40, deadline=None)
    @given(batches=st.lists(st.lists(deeds, max_size=12), max_size=4))
    def holds(batches: list[list[tuple[list[str], str, int]]]) -> None:
        runner.run(story(batches))

    with asyncio.Runner() as runner:
        database = open_sqlite(path)
        ledger = SqlLedger(database, writer=database.writer)
        holds()
        runner.run(ledger.aclose())
        runner.run(database.aclose())

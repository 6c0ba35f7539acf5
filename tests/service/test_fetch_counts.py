"""Key sets are fetched exactly as often as they must be: once per lifetime, once per cool-down."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from watchword import Watchword
from watchword.errors import KeyUnknown, WatchwordError
from watchword.keys.issuer import Issuer
from watchword.keystores.memory import MemoryKeyStore
from watchword.testing.peers import IssuingPeer

GUARD = 60.0
KEYS = "/.well-known/jwks.json"


def fetches(issuer: IssuingPeer) -> int:
    return sum(target == KEYS for target, _ in issuer.requests)


@pytest.fixture
def make(issuer: IssuingPeer, clock: Any, tmp_path: Any) -> Iterator[Callable[[], Watchword]]:
    made: list[Watchword] = []

    def make_service() -> Watchword:
        ww = Watchword(issuer=issuer.url, audience="posts", environ={}, folder=tmp_path, clock=clock)
        made.append(ww)
        return ww

    yield make_service
    for ww in made:
        ww.close()


def settle(ww: Watchword) -> None:
    """Wait until no key set is on its way."""
    for keys in ww._verifier.key_sets.values():
        for flight in list(keys._flights._board.flying.values()):
            flight.wait()


@pytest.mark.threat(69)
def test_ten_thousand_tasks_at_once_cost_one_fetch_per_lifetime(
    make: Callable[[], Watchword], issuer: IssuingPeer, clock: Any
) -> None:
    ww, tokens = make(), [issuer.token(f"person-{number}") for number in range(100)]

    async def all_at_once() -> int:
        async with asyncio.timeout(GUARD):
            verified = await asyncio.gather(*(ww.averify(tokens[number % 100]) for number in range(10_000)))
        return len(verified)

    assert asyncio.run(all_at_once()) == 10_000
    assert fetches(issuer) == 1
    clock.advance(400)  # the set is due
    assert asyncio.run(all_at_once()) == 10_000
    settle(ww)
    assert fetches(issuer) == 2


@pytest.mark.threat(69)
def test_ten_thousand_verifications_over_threads_cost_one_fetch(
    make: Callable[[], Watchword], issuer: IssuingPeer
) -> None:
    ww, tokens = make(), [issuer.token(f"person-{number}") for number in range(100)]
    barrier = threading.Barrier(50)

    def work(_: int) -> int:
        barrier.wait(GUARD)
        return len([ww.verify(tokens[number % 100]) for number in range(200)])

    with ThreadPoolExecutor(50) as pool:
        assert sum(pool.map(work, range(50))) == 10_000
    assert fetches(issuer) == 1


@pytest.mark.threat(67)
def test_a_flood_of_unknown_keys_costs_one_fetch_per_cool_down_and_no_known_token(
    make: Callable[[], Watchword], issuer: IssuingPeer, clock: Any
) -> None:
    ww, good = make(), issuer.token()
    ww.verify(good)
    strangers = [Issuer(issuer.url, MemoryKeyStore()).issue("x", "posts") for _ in range(20)]

    async def flood() -> tuple[int, int]:
        async def one(number: int) -> bool:
            try:
                await ww.averify(good if number % 2 else strangers[number // 2 % 20])
            except KeyUnknown:
                return False
            return True

        found = await asyncio.gather(*(one(number) for number in range(2_000)))
        return found.count(True), found.count(False)

    for cool_down in range(1, 4):
        assert asyncio.run(flood()) == (1_000, 1_000)
        assert fetches(issuer) == 1 + cool_down
        clock.advance(30)


@pytest.mark.threat(164)
@pytest.mark.parametrize("in_time", [True, False], ids=["published in time", "published this very moment"])
def test_no_request_fails_while_keys_change(
    make: Callable[[], Watchword], issuer: IssuingPeer, clock: Any, in_time: bool
) -> None:
    ww = make()
    over, failures = threading.Event(), []
    rounds = [threading.Semaphore(0) for _ in range(4)]

    def requests(done: threading.Semaphore) -> int:
        count = 0
        while not over.is_set():
            try:
                ww.verify(issuer.token(f"person-{count}"))
            except WatchwordError as error:
                failures.append(error)
            count += 1
            done.release()
        return count

    def go_on() -> None:
        for done in rounds:
            while done.acquire(blocking=False):
                pass
            for _ in range(10):  # the first of them may have begun before
                assert done.acquire(timeout=GUARD)

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(requests, done) for done in rounds]
        go_on()
        for _ in range(3):
            old, new = issuer.issuer.keyring.active.kid, issuer.issuer.prepare_key()
            if in_time:
                clock.advance(400)
                go_on()
                settle(ww)
            issuer.issuer.activate_key(new)
            go_on()
            clock.advance(31)
            settle(ww)
            issuer.issuer.remove_key(old)
            go_on()
        over.set()
        assert sum(one.result(GUARD) for one in running) > 0
    assert failures == []

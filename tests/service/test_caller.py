"""A caller lives as long as the request, and goes nowhere unless it is carried."""

import asyncio
import contextvars
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from watchword.caller import Caller, bind, current, running_for
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import NoCaller
from watchword.testing.peers import IssuingPeer
from watchword.tokens.policy import VerificationPolicy
from watchword.tokens.verified import VerifiedToken
from watchword.tokens.verify import verify

GUARD = 20.0
Person = tuple[str, VerifiedToken]


@pytest.fixture
def person() -> Iterator[Callable[[str], Person]]:
    peer = IssuingPeer()
    policy = VerificationPolicy(peer.url, "posts", ["ES256"], leeway=5)

    def make(subject: str) -> Person:
        text = peer.token(subject)
        return text, verify(text, peer.issuer.jwk_set(), policy, SYSTEM_CLOCK.now())

    yield make
    peer._server.server_close()


def who() -> str:
    try:
        return current().token.subject.id
    except NoCaller:
        return "nobody"


@pytest.mark.threat(239)
def test_outside_a_request_there_is_nobody(person: Any) -> None:
    with pytest.raises(NoCaller):
        current()
    with running_for(*person("ada")):
        assert who() == "ada"
        with running_for(*person("bob")):
            assert who() == "bob"
        assert who() == "ada"
    assert who() == "nobody"


@pytest.mark.threat(239)
def test_a_request_that_fails_leaves_nobody_behind(person: Any) -> None:
    with pytest.raises(ValueError, match="broke"), running_for(*person("ada")):
        raise ValueError("broke")
    assert who() == "nobody"


@pytest.mark.threat(239)
def test_a_thread_a_pool_and_an_executor_inherit_nobody(person: Any) -> None:
    seen = []
    with ThreadPoolExecutor(1) as pool, running_for(*person("ada")):
        thread = threading.Thread(target=lambda: seen.append(who()))
        thread.start()
        thread.join(GUARD)
        seen.append(pool.submit(who).result(GUARD))
    assert seen == ["nobody", "nobody"]


@pytest.mark.threat(239)
def test_a_background_task_loses_the_caller_when_the_request_ends(person: Any) -> None:
    async def story() -> tuple[str, str, str, str]:
        over = asyncio.Event()

        async def background() -> str:
            await over.wait()
            return who()

        async def during() -> str:
            return who()

        later: list[str] = []
        with running_for(*person("ada")):
            task = asyncio.create_task(background())
            inside = await asyncio.create_task(during())
            in_a_thread = await asyncio.to_thread(who)
            asyncio.get_running_loop().call_soon(lambda: later.append(who()))
        over.set()
        return inside, in_a_thread, await task, later[0]

    assert asyncio.run(story()) == ("ada", "ada", "nobody", "nobody")


@pytest.mark.threat(239)
def test_a_caller_that_somebody_kept_says_nothing_after_the_request(person: Any) -> None:
    text, token = person("ada")
    with running_for(text, token) as kept:
        assert kept.token_text == text
        copied = contextvars.copy_context()
    with pytest.raises(NoCaller):
        kept.token_text  # noqa: B018  # the look is the deed
    assert copied.run(who) == "nobody"


@pytest.mark.threat(239)
def test_bind_carries_the_caller_into_a_thread_and_the_thread_is_clean_afterwards(person: Any) -> None:
    with ThreadPoolExecutor(1) as pool:
        with running_for(*person("ada")):
            bound = bind(who)
        assert [pool.submit(bound).result(GUARD), pool.submit(who).result(GUARD)] == ["ada", "nobody"]
        assert pool.submit(bound).result(GUARD) == "ada"


@pytest.mark.threat(239)
def test_bind_carries_the_caller_into_a_task_that_outlives_the_request(person: Any) -> None:
    async def story() -> tuple[str, str]:
        over = asyncio.Event()

        async def background() -> str:
            await over.wait()
            return who()

        with running_for(*person("ada")):
            task = asyncio.create_task(bind(background)())
        over.set()
        return await task, who()

    assert asyncio.run(story()) == ("ada", "nobody")


def test_there_is_nothing_to_bind_outside_a_request() -> None:
    with pytest.raises(NoCaller):
        bind(who)


def test_bind_keeps_arguments_results_and_names(person: Any) -> None:
    def add(a: int, *, b: int) -> int:
        """Add."""
        return a + b

    with running_for(*person("ada")):
        bound = bind(add)
    assert (bound(1, b=2), bound.__name__, bound.__doc__) == (3, "add", "Add.")


@pytest.mark.threat(240)
def test_two_people_over_eight_threads_never_meet(person: Any) -> None:
    people = {name: person(name) for name in ("ada", "bob")}
    barrier = threading.Barrier(8)

    def work(name: str) -> int:
        crossings = 0
        barrier.wait(GUARD)
        for _ in range(5_000):
            with running_for(*people[name]):
                crossings += who() != name
            crossings += who() != "nobody"
        return crossings

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, ["ada", "bob"] * 4)) == 0


@pytest.mark.threat(240)
def test_two_people_over_a_thousand_tasks_never_meet(person: Any) -> None:
    people = {name: person(name) for name in ("ada", "bob")}

    async def request(name: str) -> bool:
        with running_for(*people[name]):
            for _ in range(5):
                await asyncio.sleep(0)
                if who() != name:
                    return False
        return who() == "nobody"

    async def story() -> bool:
        return all(await asyncio.gather(*(request(name) for name in ["ada", "bob"] * 500)))

    assert asyncio.run(story())


@pytest.mark.threat(239)
def test_a_request_that_ends_in_another_context_still_ends(person: Any) -> None:
    request = running_for(*person("ada"))
    contextvars.copy_context().run(request.__enter__)
    elsewhere = contextvars.copy_context()
    elsewhere.run(request.__exit__, None, None, None)
    assert elsewhere.run(who) == "nobody"


def test_a_caller_can_be_neither_printed_nor_pickled(person: Any) -> None:
    text, token = person("ada")
    caller = Caller(text, token)
    assert text not in repr(caller)
    with pytest.raises(TypeError):
        pickle.dumps(caller)

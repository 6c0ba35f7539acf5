"""Tokens are exchanged once, kept no longer than their parents live, and never cross between sessions."""

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from watchword.client.authentication import SecretAuthentication
from watchword.client.endpoint import SubjectToken, Target, TokenEndpoint
from watchword.client.token_source import TokenSource
from watchword.errors import ExchangeDenied, TokenEndpointUnreachable, TokenExpired
from watchword.fetch import Transport, run, run_async
from watchword.testing.peers import Reply

GUARD = 20.0
USERS = Target("users", audience="users")
Subject = Callable[..., SubjectToken]


def settle(source: TokenSource) -> None:
    """Wait until nothing is in the air."""
    for key in list(source._flights._board.flying):
        flight = source._flights.join(key, lambda _: "", unless=lambda: True)
        if flight is not None:
            flight.wait()


def test_a_token_is_exchanged_once_and_used_again(source: TokenSource, server: Any, subject: Subject) -> None:
    tokens = {run(source.exchange(subject(), USERS)) for _ in range(100)}
    assert tokens == {"johns-token-for-users-1"}
    assert len(server.asked) == 1


class Gate:
    """Lets the token endpoint answer only when it is opened."""

    def __init__(self, server: Any) -> None:
        self.asked, self.open, self._reply = threading.Event(), threading.Event(), server.reply
        server.reply = self

    def __call__(self, form: dict[str, str]) -> Reply:
        self.asked.set()
        assert self.open.wait(GUARD)
        reply: Reply = self._reply(form)
        return reply


@pytest.mark.threat(86)
def test_two_hundred_threads_with_one_subject_token_cause_one_exchange(
    source: TokenSource, server: Any, subject: Subject
) -> None:
    gate, barrier, john = Gate(server), threading.Barrier(201), subject()

    def ask() -> str:
        barrier.wait(GUARD)
        return run(source.exchange(john, USERS))

    with ThreadPoolExecutor(200) as pool:
        waiting = [pool.submit(ask) for _ in range(200)]
        barrier.wait(GUARD)
        assert gate.asked.wait(GUARD)
        gate.open.set()
        assert {future.result(GUARD) for future in waiting} == {"johns-token-for-users-1"}
    assert len(server.asked) == 1


@pytest.mark.threat(70, 86)
def test_five_hundred_tasks_cause_one_exchange_though_the_first_is_cancelled(
    source: TokenSource, server: Any, subject: Subject
) -> None:
    gate, john = Gate(server), subject()

    async def story() -> set[str]:
        leader = asyncio.create_task(run_async(source.exchange(john, USERS)))
        assert await asyncio.to_thread(gate.asked.wait, GUARD)
        tasks = [asyncio.create_task(run_async(source.exchange(john, USERS))) for _ in range(500)]
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        gate.open.set()
        return set(await asyncio.gather(*tasks))

    assert asyncio.run(story()) == {"johns-token-for-users-1"}
    assert len(server.asked) == 1


@pytest.mark.threat(235)
def test_two_sessions_of_one_person_never_share_a_token(source: TokenSource, server: Any, clock: Any) -> None:
    # equal but for the signature, as two tokens of one person of one moment could be
    broad = SubjectToken("header.payload.signature-one", "access_token", clock.now() + 300)
    narrow = SubjectToken("header.payload.signature-two", "access_token", clock.now() + 300)
    assert run(source.exchange(broad, USERS)) == "header.payload.signature-one-for-users-1"
    assert run(source.exchange(narrow, USERS)) == "header.payload.signature-two-for-users-2"


@pytest.mark.threat(235)
def test_audience_resource_and_scope_are_part_of_the_key(
    source: TokenSource, server: Any, subject: Subject
) -> None:
    targets = [
        USERS,
        Target("users", audience="billing"),
        Target("users", resource="users"),
        Target("users", audience="users", resource="users"),
        Target("users", audience="users", scope=frozenset({"a"})),
        Target("users", audience="users", scope=frozenset({"a", "b"})),
        Target("users", audience="users", scope=frozenset({"a b"})),
    ]
    tokens = [run(source.exchange(subject(), target)) for target in targets]
    assert len(set(tokens)) == len(targets)
    assert [run(source.exchange(subject(), target)) for target in targets] == tokens


@pytest.mark.threat(235)
def test_another_client_has_another_store_key(server: Any, clock: Any, subject: Subject) -> None:
    keys = {
        TokenSource(
            TokenEndpoint(server.url, server.locate, SecretAuthentication(name, "s")),
            Transport(),
            clock=clock,
        )._key(b"x", USERS)
        for name in ("posts", "orders")
    }
    assert len(keys) == 2


@pytest.mark.threat(235, 240)
def test_interleaved_people_over_eight_threads_never_get_each_others_tokens(
    source: TokenSource, server: Any, subject: Subject
) -> None:
    people = [subject(f"person-{number}") for number in range(20)]
    barrier = threading.Barrier(8)

    def work(seed: int) -> int:
        order = random.Random(seed)
        barrier.wait(GUARD)
        crossings = 0
        for _ in range(1_000):
            person = order.choice(people)
            crossings += not run(source.exchange(person, USERS)).startswith(f"{person.text}-for-users-")
        return crossings

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 0
    assert len(server.asked) == 20


@pytest.mark.threat(236)
def test_an_exchanged_token_is_not_used_beyond_its_parents_life(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    server.lifetime = 3600
    john = subject(lifetime=100)
    first = run(source.exchange(john, USERS))
    clock.advance(90)
    assert run(source.exchange(john, USERS)) == first
    settle(source)
    clock.advance(11)
    with pytest.raises(TokenExpired):
        run(source.exchange(john, USERS))
    assert len(server.asked) == 1  # asking again could not have prolonged it


def test_a_token_is_renewed_in_the_background_before_it_expires(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    john = subject(lifetime=10_000)
    first = run(source.exchange(john, USERS))
    clock.advance(119 * 0.8 + 2)
    gate = Gate(server)
    assert run(source.exchange(john, USERS)) == first  # would hang here if it waited: the gate is closed
    gate.open.set()
    settle(source)
    assert run(source.exchange(john, USERS)) == "johns-token-for-users-2"
    assert len(server.asked) == 2


def test_tokens_that_came_together_are_not_renewed_together(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    for number in range(40):
        run(source.exchange(subject(f"token-{number}", lifetime=10_000), USERS))
    due = sorted((entry.renew_at - clock.monotonic()) / 120 for entry in source._entries._young.values())
    assert 0.7 <= due[0] < 0.73
    assert 0.77 < due[-1] <= 0.8
    assert len(set(due)) > 30


def test_an_expired_token_is_never_handed_out(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    john = subject(lifetime=10_000)
    run(source.exchange(john, USERS))
    clock.advance(118)
    assert run(source.exchange(john, USERS)) == "johns-token-for-users-2"


def test_a_failed_renewal_takes_nothing_away(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    john = subject(lifetime=10_000)
    first = run(source.exchange(john, USERS))
    server.reply = lambda _: Reply(503, {})
    for _ in range(10):
        clock.advance(10)
        assert run(source.exchange(john, USERS)) == first
        try:
            settle(source)
        except TokenEndpointUnreachable:
            continue
    clock.advance(20)
    with pytest.raises(TokenEndpointUnreachable):
        run(source.exchange(john, USERS))


@pytest.mark.threat(233)
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(400, {"error": "invalid_target"}), ExchangeDenied),
        (Reply(500, {}), TokenEndpointUnreachable),
        (Reply(302, {}, {"Location": "http://127.0.0.1:1/token"}), TokenEndpointUnreachable),
        (Reply(200, b"x" * 300_000), TokenEndpointUnreachable),
    ],
    ids=["denied", "broken", "redirected", "huge"],
)
def test_failures_are_typed_and_not_stampeded(
    source: TokenSource, server: Any, clock: Any, subject: Subject, reply: Reply, error: type[Exception]
) -> None:
    server.reply = lambda _: reply
    for _ in range(50):
        with pytest.raises(error):
            run(source.exchange(subject(), USERS))
    assert len(server.asked) == 1
    server.reply = server.grant
    clock.advance(1.5)
    assert run(source.exchange(subject(), USERS)) == "johns-token-for-users-2"


def test_a_refusal_for_one_says_nothing_about_another(
    source: TokenSource, server: Any, subject: Subject
) -> None:
    server.reply = lambda form: (
        Reply(400, {"error": "invalid_scope"}) if form["subject_token"] == "bobs" else server.grant(form)
    )
    with pytest.raises(ExchangeDenied):
        run(source.exchange(subject("bobs"), USERS))
    assert run(source.exchange(subject("adas"), USERS)) == "adas-for-users-2"


def test_a_silent_server_is_given_up_in_bounded_time_by_everyone(
    server: Any, endpoint: TokenEndpoint, clock: Any, subject: Subject
) -> None:
    source = TokenSource(endpoint, Transport(timeout=0.3), clock=clock, concurrency=2)
    gate = Gate(server)

    async def story() -> list[Any]:
        async with asyncio.timeout(GUARD):
            asking = (run_async(source.exchange(subject(f"p{number}"), USERS)) for number in range(50))
            return await asyncio.gather(*asking, return_exceptions=True)

    assert {type(outcome) for outcome in asyncio.run(story())} == {TokenEndpointUnreachable}
    gate.open.set()


def test_a_server_that_is_gone_is_a_typed_error(source: TokenSource, server: Any, subject: Subject) -> None:
    server.close()
    with pytest.raises(TokenEndpointUnreachable, match=r"users.*nothing listens"):
        run(source.exchange(subject(), USERS))


def test_own_tokens_are_kept_apart_from_those_of_callers(
    source: TokenSource, server: Any, subject: Subject
) -> None:
    mine = run(source.own(USERS))
    assert mine == "own-for-users-1"
    assert run(source.own(USERS)) == mine
    assert run(source.exchange(subject(), USERS)) != mine
    assert run(source.exchange(subject(""), USERS)) != mine
    assert [form["grant_type"] for form in server.asked].count("client_credentials") == 1


def test_the_store_is_bounded_and_what_is_used_stays(
    server: Any, endpoint: TokenEndpoint, clock: Any, subject: Subject
) -> None:
    source = TokenSource(endpoint, Transport(), clock=clock, max_entries=20)
    hot = run(source.exchange(subject("hot"), USERS))
    for number in range(100):
        run(source.exchange(subject(f"p{number}"), USERS))
        assert run(source.exchange(subject("hot"), USERS)) == hot
    assert len(source) <= 20
    assert len(server.asked) == 101


def test_nothing_is_kept_in_clear_as_a_key_or_printed(source: TokenSource, subject: Subject) -> None:
    run(source.exchange(subject("johns-very-own-token"), USERS))
    entries = source._entries
    assert "johns-very-own-token" not in repr([*entries._young, *entries._old])
    assert "johns-very-own-token" not in repr([*entries._young.values(), *entries._old.values()])


@pytest.mark.threat(79, 236)
def test_a_wall_clock_that_is_set_back_does_not_prolong_the_parents_life(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    server.lifetime = 3600
    john = subject(lifetime=100)
    run(source.exchange(john, USERS))
    clock.wall -= 50
    clock.ticks += 101
    assert run(source.exchange(john, USERS)) == "johns-token-for-users-2"


def test_wall_clock_jumps_do_not_prolong_a_token(
    source: TokenSource, server: Any, clock: Any, subject: Subject
) -> None:
    john = subject(lifetime=10_000)
    run(source.exchange(john, USERS))
    clock.wall -= 5_000
    clock.ticks += 119
    assert run(source.exchange(john, USERS)) == "johns-token-for-users-2"

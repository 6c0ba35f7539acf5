"""Counters are exact over threads and bounded; an observer can break nothing."""

import logging
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from watchword.errors import ExchangeDenied, KeysUnavailable, TokenExpired
from watchword.telemetry import Event, Meter, TokenRefused, TokenRequested
from watchword.telemetry.exposition import BUCKETS, Counter, Histogram
from watchword.telemetry.meter import FIELDS


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads that change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
def test_eight_threads_lose_no_count() -> None:
    counter = Counter("counts", "", code=["a", "b"])
    histogram = Histogram("durations", "", label="callee", values=["users"])
    barrier = threading.Barrier(8)

    def work(_: int) -> None:
        barrier.wait(20)
        for _ in range(5_000):
            counter.add("a")
            histogram.observe("users", 0.5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert counter.counts() == {("a",): 40_000}
    found = histogram.durations()["users"]
    assert (found.count, found.seconds, found.counts[BUCKETS.index(0.5)]) == (40_000, 20_000.0, 40_000)


def test_what_is_not_known_counts_as_other_and_makes_nothing_grow() -> None:
    meter = Meter(issuers=["https://a.example"], callees=["users"])
    for number in range(1_000):
        meter.requested(f"callee-{number}", f"outcome-{number}", 0.1)
        meter.fetched(f"https://{number}.example", "changed", 0.1)
        meter.reused(f"callee-{number}")
    assert len(meter._requests.counts()) == len(meter._fetches.counts()) == len(meter._reused.counts()) == 1
    assert list(meter.callees()) == ["users"]


def test_callees_are_spelled_as_their_setting() -> None:
    meter = Meter(callees=["order_items"])
    meter.requested("order-items", "granted", 0.02)
    meter.reused("Order.Items")
    found = meter.callees()["order_items"]
    assert (found.requests["granted"], found.durations.count, found.reused) == (1, 1, 1)


def test_an_observer_learns_of_each_event() -> None:
    events: list[Event] = []
    meter = Meter(observer=events.append)
    meter.refused(TokenExpired("expected exp in the future"), client_id="web", token_id="t", story_id="s")
    meter.requested("users", "rule", 0.25, request_id="r-7")
    assert events == [
        TokenRefused("token_expired", "expected exp in the future", "web", "t", "s"),
        TokenRequested("users", "rule", 0.25, "r-7"),
    ]
    assert [event.name for event in events] == ["token.refused", "token.requested"]


def test_an_observer_that_raises_harms_nobody_and_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("a secret of the observer")

    meter = Meter(observer=broken)
    meter.refused(TokenExpired("expected exp in the future"))
    assert meter.refusals() == {"token_expired": 1}
    assert "the observer of token.refused raised RuntimeError" in caplog.text
    assert "a secret of the observer" not in caplog.text


def test_a_refusal_is_one_log_record_with_its_facts_by_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "watchword")
    meter = Meter()
    meter.refused(TokenExpired("expected exp in the future"), client_id="web", token_id="t-1")
    meter.refused(KeysUnavailable("none can be had"))
    first, second = caplog.records
    assert (first.name, first.levelno, second.levelno) == ("watchword", logging.INFO, logging.WARNING)
    assert first.getMessage() == "refused token_expired: expected exp in the future"
    assert getattr(first, FIELDS) == {
        "name": "token.refused", "code": "token_expired", "client_id": "web", "token_id": "t-1",
        "story_id": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("invalid_target", "rule"),
        ("unauthorized_client", "rule"),
        ("invalid_scope", "scope"),
        ("invalid_client", "client"),
        ("invalid_request", "subject_token"),
        ("invalid_grant", "subject_token"),
        ("something_else", "other"),
    ],
)
def test_a_denial_has_one_of_few_reasons(error: str, reason: str) -> None:
    assert ExchangeDenied("no", error=error, callee="users").reason == reason

"""Every benchmark prints its rows, and only after both sides have shown that they do the same work.

Nothing here is timed: what a busy machine measures says nothing, and no test may fail because of it.
"""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest


def measures(rows: Iterable[Any]) -> list[tuple[str, str]]:
    found = list(rows)
    for row in found:
        assert row.ratio.low <= row.ratio.median <= row.ratio.high
        assert row.measure in str(row)
        assert row.what in str(row)
        assert row.as_json()["ratio"] == round(row.ratio.median, 3)
    return [(row.measure, row.what) for row in found]


def test_the_audit_is_compared_with_a_server_that_writes_nothing() -> None:
    from benchmarks import audit_cost

    rows = measures(audit_cost.measured(0, {2: audit_cost.GOALS[16]}))
    assert rows == [
        ("P15", "audited / unaudited requests, 2 clients"),
        ("P15", "audited / unaudited requests, 2 clients (wall)"),
    ]


def test_the_footprint_of_a_server_is_read_from_the_system() -> None:
    from benchmarks import footprint

    rows = list(footprint.measured(8, 1))
    assert [row.measure for row in rows] == ["P11"] * 4
    idle = next(row for row in rows if row.what == "MiB when idle")
    assert 10 < idle.ratio.median < 1_000


def test_the_whole_token_service_stands_beside_every_peer_that_is_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from benchmarks import endpoints

    tried = [measure for measure in endpoints.MEASURES if measure.what != "JWK Set"]
    rows = measures(endpoints.measured(0, "ES256", 2, tried))
    absent = [name for name in endpoints.STARTERS if not any(name in what for _, what in rows)]
    told = capsys.readouterr().err
    assert all(f"SKIPPED: {name} does not take part" in told for name in absent)
    assert told.count("SKIPPED") == len(absent)
    if "oidc-provider" not in absent:
        assert len([what for _, what in rows if "oidc-provider" in what]) == 2 * len(tried)


def test_somebody_who_does_other_work_is_not_compared() -> None:
    from benchmarks import endpoints

    measure = endpoints.MEASURES[0]
    shirker = SimpleNamespace(
        by_secret=lambda n: [b""] * n,
        first=lambda _: {"access_token": "x", "expires_in": 1, "scope": "users:read"},
    )
    with pytest.raises(RuntimeError, match="does not do the same work"):
        endpoints.demand_same_work(measure, {"django-oauth-toolkit": shirker}, "ES256")


def test_a_guarded_application_stands_beside_the_same_one_without(tmp_path: Path) -> None:
    from benchmarks.token_servers import start

    from benchmarks import middleware

    with start.watchword(tmp_path) as issuer:
        result = middleware.served("asgi", issuer, tmp_path, "ES256", 0)
    assert measures(middleware.rows("ASGI", "ES256", result))[0] == (
        "P5",
        "ASGI: requests with our guard / without",
    )


def test_the_page_of_the_guide_is_the_same_on_both_sides() -> None:
    from benchmarks import guide_pages

    rows = measures(guide_pages.measured(0, {}, together=3))  # one call for each post, all at once
    assert rows == [("P12", "3 posts, answers of 5 ms, concurrency alone (wall)")]


@pytest.mark.parametrize(("head", "body"), [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"ok"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
])  # fmt: skip
def test_an_answer_is_read_to_its_end_however_it_comes_in_pieces(head: bytes, body: bytes) -> None:
    from benchmarks.load import _body

    whole = head + body
    start = len(head)
    lower = head[:-4].lower()
    assert [_body(lower, whole[:end], start) for end in range(start, len(whole))] == [None] * len(body)
    assert _body(lower, whole, start) == b"ok"

"""A change through one process is acted on by every worker within a second."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import pytest

from watchword.app.others import LOOK_EVERY, SEEN_WITHIN, Others
from watchword.audit.event import AuditEvent
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import KeyringError, StoreUnavailable
from watchword.storage.sqlite import join_sqlite
from watchword.storage.trust import SqlTrustStore
from watchword.trust import document as trust_document

from .processes import Pinned, pinned_to_each, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
FREE = {"RATE_PER_CLIENT": "0", "RATE_PER_ADDRESS": "0"}


def operator(served, *arguments: str) -> dict:
    """Run a command of the operator beside the running service."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WATCHWORD_")}
    done = subprocess.run(
        [sys.executable, "-m", "watchword", *arguments, "--json"],
        check=True, cwd=served.folder, env=environ | {"WATCHWORD_ISSUER": served.issuer},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


def introspected(connection: Pinned, token: str) -> bool:
    answer = connection.post("/introspect", f"token={token}".encode(), connection.served.basic("users"))
    assert answer.status == 200
    return answer.json()["active"]


def kids(connection: Pinned) -> list[str]:
    return [key["kid"] for key in connection.get("/.well-known/jwks.json").json()["keys"]]


@linux
@pytest.mark.threat(170)
def test_a_key_that_is_revoked_is_refused_by_every_worker(start):
    served = start(WORKERS="3", **FREE)
    with pinned_to_each(served) as connections:
        token = connections[0].token().json()["access_token"]
        signed_by, reserve = kids(connections[0])
        assert [introspected(connection, token) for connection in connections] == [True] * 3
        operator(served, "keys", "revoke", signed_by, "--confirm", signed_by, "--activate-unpublished")
        told = SYSTEM_CLOCK.monotonic()
        for connection in connections:
            until(lambda c=connection: not introspected(c, token))
            assert signed_by not in kids(connection)
            until(lambda c=connection: kids(c)[0] == reserve)
            assert introspected(connections[1], connection.token().json()["access_token"])
        assert SYSTEM_CLOCK.monotonic() - told < SEEN_WITHIN


@linux
def test_a_trust_document_that_somebody_applies_decides_at_every_worker(start):
    served = start(WORKERS="2", **FREE)
    allowed = trust_document.read(served.folder / "trust.toml")

    async def apply(document) -> None:
        database = join_sqlite(served.folder / "watchword-data" / "watchword.db", writer="somebody")
        store = SqlTrustStore(database, writer=database.writer)
        digest = trust_document.digest(document)
        event = AuditEvent(type="trust.applied", time=SYSTEM_CLOCK.now(), reason=digest)
        await store.apply(trust_document.to_json(document), digest=digest, source_digest=None, event=event)
        await database.aclose()

    with pinned_to_each(served) as connections:
        for document, status in ((trust_document.EMPTY, 401), (allowed, 200)):
            asyncio.run(apply(document))
            told = SYSTEM_CLOCK.monotonic()
            for connection in connections:
                until(lambda c=connection, s=status: c.token().status == s)
            assert SYSTEM_CLOCK.monotonic() - told < SEEN_WITHIN


class Counting:
    """A database whose version is set by hand."""

    def __init__(self) -> None:
        self.number = 1
        self.error: Exception | None = None

    async def version(self) -> int:
        if self.error is not None:
            raise self.error
        return self.number


def test_a_cache_looks_only_when_somebody_else_has_written():
    async def story() -> None:
        database, looks = Counting(), []
        others = Others(database)

        async def look() -> None:
            looks.append(database.number)

        others.watch(look)
        for number in (1, 1, 2, 2, 2, 5):
            database.number = number
            await others.look()
        assert looks == [1, 2, 5]

    asyncio.run(story())


@pytest.mark.parametrize("error", [StoreUnavailable("locked"), KeyringError("damaged")])
def test_what_could_not_be_read_is_looked_at_again_and_told_once(error, caplog):
    async def story() -> None:
        database, seen = Counting(), []
        others = Others(database)
        trouble: list[Exception] = [error, error]

        async def look() -> None:
            if trouble:
                raise trouble.pop()
            seen.append(database.number)

        others.watch(look)
        await others.look()
        await others.look()
        assert seen == []
        database.error = error
        await others.look()
        database.error = None
        await others.look()
        await others.look()
        assert seen == [1]

    asyncio.run(story())
    assert len([r for r in caplog.records if "not seen for now" in r.getMessage()]) == 1


def test_it_looks_several_times_in_the_time_that_it_promises():
    assert LOOK_EVERY * 3 <= SEEN_WITHIN


def test_it_goes_on_looking_until_it_is_stopped():
    async def story() -> None:
        database = Counting()
        looked = asyncio.Event()
        others = Others(database)

        async def look() -> None:
            looked.set()

        others.watch(look)
        running = asyncio.create_task(others.run())
        for number in (2, 3):
            database.number = number
            looked.clear()
            await asyncio.wait_for(looked.wait(), 20)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    asyncio.run(story())

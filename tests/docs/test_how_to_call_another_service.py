"""The how-to of outbound calls: its ways to have a caller, and the header for any library, over real HTTP."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from watchword.errors import NoCaller
from watchword.testing.peers import IssuingPeer, Peer, Reply
from watchword.tokens.private_key import PrivateKey

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "call-another-service.md").read_text()
FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL))
IDS = ["john_doe"]


@pytest.fixture
def users() -> Iterator[Peer]:
    users = Peer(Reply(200, [{"user_id": "john_doe"}]))
    with users.running():
        yield users


@pytest.fixture
def issuer(users: Peer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[IssuingPeer]:
    """The environment that the page asks for, with an issuer that is there."""
    issuer = IssuingPeer()
    monkeypatch.chdir(tmp_path)
    Path("posts.key").write_bytes(PrivateKey.generate("ES256").insecure_private_pem())
    (block,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    told = dict(re.findall(r"^export (\w+)=(\S+)", block, re.MULTILINE))
    told |= {
        "WATCHWORD_ISSUER": issuer.url,
        "WATCHWORD_AUDIENCE": "posts",
        "WATCHWORD_URL_USERS": users.url,
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with issuer.running():
        yield issuer


def module(name: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(FILES[name], name, "exec"), names)
    return names


def test_every_way_to_have_a_caller_ends_at_the_callee_with_a_token_of_its_own(
    issuer: IssuingPeer, users: Peer
) -> None:
    page = module("elsewhere.py")
    token = issuer.token()
    with pytest.raises(NoCaller):
        page["names"](IDS)
    assert users.requests == []
    assert page["from_a_queue"]({"token": token, "ids": IDS}) == [{"user_id": "john_doe"}]
    with page["ww"].acting_for(token):
        assert page["in_another_thread"](IDS) == [{"user_id": "john_doe"}]
    assert page["nightly"]() == [{"user_id": "john_doe"}]
    assert len(users.requests) == 3
    for path, headers in users.requests:
        assert path.startswith("/users")
        assert headers["authorization"].startswith("Bearer ey")
        assert token not in headers["authorization"]
    page["ww"].close()
    page["pool"].shutdown()


@pytest.mark.parametrize("attempts", [1, 2])
def test_another_library_tries_once_more_with_another_token_and_no_more(
    issuer: IssuingPeer, users: Peer, attempts: int
) -> None:
    refused = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    users.routes["/users"] = lambda *_: (
        Reply(401, {}, refused) if len(users.requests) < attempts else Reply(200, b"[]")
    )
    page = module("by_urllib.py")
    with page["ww"].acting_for(issuer.token()):
        assert page["get"]("/users") == b"[]"
    sent = [headers["authorization"] for _, headers in users.requests]
    assert len(sent) == len(set(sent)) == attempts
    page["ww"].close()


def test_every_row_of_the_table_leads_to_an_example() -> None:
    examples = set(re.findall(r"examples/(\w+)/README\.md", PAGE))
    folders = {
        path.parent.name for path in (Path(__file__).resolve().parents[2] / "examples").glob("*/orders.py")
    }
    assert examples == folders


def test_many_calls_at_once_are_for_the_caller_with_one_exchange(issuer: IssuingPeer, users: Peer) -> None:
    page = module("many.py")
    ids = [f"person-{number}" for number in range(250)]
    with page["ww"].acting_for(issuer.token()):
        assert page["authors"](ids[:12]) == [[{"user_id": "john_doe"}]] * 12
        assert page["authors_in_batches"](ids) == [{"user_id": "john_doe"}] * 3

        async def by_tasks() -> object:
            found = await page["authors_by_tasks"](ids[:12])
            await page["ww"].aclose()
            return found

        assert asyncio.run(by_tasks()) == [[{"user_id": "john_doe"}]] * 12
    assert [path.partition("?")[0] for path, _ in users.requests].count("/users") == 3
    assert len(users.requests) == 27
    assert sum(target == "/token" for target, _ in issuer.requests) == 1

"""Failed calls of every HTTP library get one name, and only those to services that are called through us."""

import asyncio
import importlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from watchword.client.aiohttp import BearerMiddleware
from watchword.errors import CalleeFailed, CalleeTimeout, CalleeUnreachable, OutboundError
from watchword.integrations.callee import outbound_error
from watchword.integrations.guard import OnBehalf
from watchword.testing.peers import Peer, Reply

LIBRARIES = ["requests", "httpx", "httpx2", "aiohttp"]


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    peer = Peer()
    asleep = threading.Event()
    peer.routes["/slow"] = lambda *_: Reply(200, [asleep.wait(15)])
    peer.routes["/broken"] = lambda *_: Reply(500, {})
    with peer.running():
        yield peer
        asleep.set()


class Anybody:
    """Every request may go, with some credential."""

    async def authorization_async(self, url: str) -> str:
        return "Bearer x"


def failure(library: str, url: str) -> Exception:
    """What this library raises for a call."""
    if library == "aiohttp":
        return asyncio.run(failure_of_aiohttp(url))
    module: Any = importlib.import_module(library)
    try:
        module.get(url, timeout=0.2).raise_for_status()
    except Exception as error:  # noqa: BLE001  # whatever it is, is looked at
        return error
    pytest.fail("the call did not fail")


async def failure_of_aiohttp(url: str) -> Exception:
    """What it raises with our middleware: errors of its own do not say which service did not answer."""
    middleware: Any = BearerMiddleware(Anybody())  # type: ignore[arg-type]
    timeout = aiohttp.ClientTimeout(total=None, sock_read=0.2)
    async with aiohttp.ClientSession(middlewares=[middleware], timeout=timeout) as session:
        try:
            async with session.get(url) as answer:
                answer.raise_for_status()
        except Exception as error:  # noqa: BLE001  # as above
            return error
    pytest.fail("the call did not fail")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("path", "kind"), [("/slow", CalleeTimeout), ("/broken", CalleeFailed)])
def test_a_failure_has_one_name_in_every_library(
    peer: Peer, library: str, path: str, kind: type[OutboundError]
) -> None:
    error = failure(library, peer.url + path)
    assert type(outbound_error(error, [f"{peer.url}/api"])) is kind


@pytest.mark.parametrize("library", LIBRARIES)
def test_nobody_listening_is_unreachable_in_every_library(library: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    assert type(outbound_error(failure(library, url), [url])) is CalleeUnreachable


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_call_to_anybody_else_keeps_its_own_error(peer: Peer, library: str) -> None:
    error = failure(library, f"{peer.url}/broken")
    assert outbound_error(error, ["http://127.0.0.1:1", "https://users.example"]) is None


def test_what_is_caught_is_named_and_keeps_its_cause(peer: Peer) -> None:
    error = failure("requests", f"{peer.url}/broken")
    with pytest.raises(CalleeFailed) as named, OnBehalf(None, [peer.url]):
        raise error
    assert named.value.__cause__ is error
    with pytest.raises(KeyError), OnBehalf(None, [peer.url]):
        raise KeyError("somebody else's")

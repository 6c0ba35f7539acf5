"""Whatever an operator's request says: an operation does it, or refuses it in words."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from watchword.app.config import ServerSettings
from watchword.app.parts import opened_parts
from watchword.authority.admin.operation import AdminContext
from watchword.authority.admin.perform import perform
from watchword.authority.admin.table import OPERATIONS
from watchword.authority.trust_in_force import TrustInForce
from watchword.clock import SYSTEM_CLOCK
from watchword.errors import WatchwordError
from watchword.trust.document import EMPTY

NESTED: dict[str, Any] = {"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA"}]}
DOCUMENT = {"version": 1, "services": {"posts": {"audience": "posts"}}, "issuers": {}}
WORDS = st.sampled_from(
    ["posts", "nobody", "", "a" * 64, "refuse", "stop_issuing", "\x00\u202e\ud800", "x" * 257]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.just("keys"), inner, max_size=3),
    max_leaves=6,
) | st.sampled_from([NESTED, DOCUMENT])


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, bytes]:
    """An operation, and a request with its own members, well or badly filled."""
    name = draw(st.sampled_from(sorted(OPERATIONS)))
    members = [field.encode_name for field in msgspec.structs.fields(OPERATIONS[name].request)]
    filled = {member: draw(values) for member in members if draw(st.integers(0, 5))}
    if draw(st.integers(0, 9)) == 0:
        filled["colour"] = "red"
    return name, json.dumps(filled).encode("utf-8", "surrogatepass")


class Bench:
    """One token service without listeners, and a loop to ask it in."""

    def __init__(self, folder) -> None:
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.context: AdminContext = self.runner.run(self._open(folder))

    async def _open(self, folder) -> AdminContext:
        told = ServerSettings.load({"WATCHWORD_ISSUER": "https://tokens.example"}, folder=folder)
        parts = await self.stack.enter_async_context(opened_parts(told, clock=SYSTEM_CLOCK))
        return parts.administration(TrustInForce(EMPTY), told.rotation)

    def ask(self, name: str, body: bytes) -> Any:
        return self.runner.run(perform(self.context, name, body, "operator|1000"))

    def close(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    bench.ask("trust.apply", json.dumps({"document": DOCUMENT}).encode())
    yield bench
    bench.close()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests())
@example(("clients.add", b'{"client_id": "posts", "jwks": {"keys": [{"kty": "EC", "kid": "a"}]}}'))
@example(("trust.plan", b'{"document": 1e400}'))
@example(("trust.plan", b'{"document": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"))
@pytest.mark.threat(209)
def test_an_operation_does_it_or_says_why_not(bench: Bench, asked: tuple[str, bytes]) -> None:
    name, body = asked
    try:
        said = msgspec.json.encode(bench.ask(name, body)).decode()
    except WatchwordError as error:
        said = json.dumps(str(error))
    assert json.loads(said)
    assert len(said) < 20_000

"""The fixtures. pytest loads this file wherever Watchword is installed, so it imports nothing until asked."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from watchword.testing.issuer import TestIssuer
    from watchword.testing.peers import Peer


@pytest.fixture
def watchword_issuer() -> "Iterator[TestIssuer]":
    """Make an issuer in memory; what it was installed in is as before when the test ends."""
    from watchword.testing.issuer import TestIssuer  # noqa: PLC0415  # as the first line says

    with TestIssuer() as issuer:
        yield issuer


@pytest.fixture
def watchword_callee() -> "Iterator[Peer]":
    """Serve on loopback, say `[]` to everything, and keep what was sent in `requests`."""
    from watchword.testing.peers import Peer, Reply  # noqa: PLC0415

    callee = Peer(otherwise=Reply(200, []))
    with callee.running():
        yield callee

"""What the services themselves wrote down: the audit of the token service, the logs of the others."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from watchword.cli.demo.world import World

_ARRIVED = "read for "
"""How users-service begins the line that holds what it verified."""
_REFUSED = "refused "
"""How the SDK begins the line that tells a service's operator why a request was refused."""


class Records:
    """Reads what others recorded; counts nothing itself."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        self._world = world

    def exchanges(self) -> int:
        """Return how many exchanges the token service has recorded."""
        return len(self._events("type = 'token.exchanged' AND outcome = 'allowed'"))

    def last_refusal(self) -> str:
        """Return why the token service refused the last exchange that it refused, as its audit has it."""
        reasons = self._events("type = 'token.refused'")
        return str(reasons[-1]) if reasons else "nothing is in the audit"

    def last_arrival(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return header members and claims of the last token that users-service verified and let in."""
        lines = [line for line in _lines(self._world.users.log) if _ARRIVED in line]
        told = msgspec.json.decode(lines[-1].partition(_ARRIVED)[2])
        return {"kid": told["kid"]}, told["claims"]

    def reason_at_posts(self) -> str:
        """Return why posts-service refused the last request that it refused, as its operator reads it."""
        lines = [line for line in _lines(self._world.posts.log) if _REFUSED in line]
        return lines[-1].partition(_REFUSED)[2] if lines else "nothing is in the log"

    def _events(self, condition: str) -> list[str]:
        query = f"SELECT reason FROM audit_event WHERE {condition} ORDER BY sequence"  # noqa: S608  our own text
        with closing(sqlite3.connect(f"file:{self._world.database}?mode=ro", uri=True)) as database:
            return [reason for (reason,) in database.execute(query)]


def _lines(log: Path) -> list[str]:
    return log.read_text(encoding="utf-8", errors="replace").splitlines()

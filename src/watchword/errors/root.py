"""The root of every exception, and the kind that reports every mistake at once."""

from collections.abc import Sequence
from typing import ClassVar


class WatchwordError(Exception):
    """The root: catch this to catch everything that Watchword raises on purpose."""

    code: ClassVar[str] = "watchword_error"
    public: ClassVar[str] = "the request could not be completed"


class Problems(WatchwordError):
    """An error that reports every mistake at once, so that one edit mends them all."""

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))

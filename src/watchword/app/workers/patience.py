"""How long to wait before somebody who died is replaced: at once, unless they die again and again."""

LONG_ENOUGH = 30.0
"""Seconds of life after which an earlier death is forgotten."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0


class Patience:
    """Doubles the pause with each early death."""

    __slots__ = ("_deaths",)

    def __init__(self) -> None:
        self._deaths = 0

    def after(self, lived: float) -> float:
        """Return the seconds to wait after the death of somebody who served for so many seconds."""
        if lived >= LONG_ENOUGH:
            self._deaths = 0
        self._deaths += 1
        if self._deaths == 1:
            return 0.0
        return float(min(FIRST_PAUSE * 2 ** min(self._deaths - 2, 16), LONGEST_PAUSE))

"""How often a client may ask: a protocol, so that whoever runs the service decides how it is kept."""

from typing import Protocol


class Quota(Protocol):
    """One account per client. Only who has proved to be that client takes from it."""

    def take(self, key: str) -> float:
        """Take one request off; return 0.0, or the seconds until one is free (then nothing was taken)."""
        ...

    def give_back(self, key: str) -> None:
        """Put one request back: it was somebody else's after all."""
        ...


class Unlimited:
    """A quota that never ends."""

    __slots__ = ()

    def take(self, key: str) -> float:
        """Return 0.0."""
        return 0.0

    def give_back(self, key: str) -> None:
        """Do nothing."""

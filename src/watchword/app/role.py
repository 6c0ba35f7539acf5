"""What one process does of a token service: everything, or what several processes share out."""

from dataclasses import dataclass

from watchword.server.accounts import Accounts
from watchword.telemetry.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """The role of one process."""

    writer: str | None = None
    """Names it in each event; `None`: it is alone, holds the data folder and goes on as the writer before."""
    keeps: bool = True
    """It applies the trust document, rotates the keys and forgets what is over: one process alone does."""
    board: Board | None = None
    """Where its numbers stand beside those of the others; `None`: there are no others."""
    client_accounts: Accounts | None = None
    """Where all of them keep count of what each client asks; `None`: there are no others."""
    address_accounts: Accounts | None = None
    """Likewise of each network."""

    @property
    def alone(self) -> bool:
        """Whether there is no other process."""
        return self.writer is None


ALONE = Role()

"""What a verification came to, and how statements are held against it."""

from collections.abc import Sequence
from typing import NamedTuple

from watchword.audit.checkpoint import ANCHOR, CHECKPOINT, ChainTail, Checkpoint, verified
from watchword.audit.verification import Finding, Verifier
from watchword.errors import CheckpointInvalid
from watchword.tokens.jwk_set import JWKSet


class Report(NamedTuple):
    """What was looked at and what was found."""

    events: int
    """Sealed events that were looked at."""
    last: int
    """The number of the last event."""
    unchained: int
    """Events that are older than the chain: nobody can say anything about them."""
    forgotten: int
    """Up to which number events were forgotten by the rule of retention, with a signed anchor."""
    statements: int
    """Signed statements that were held against the chains."""
    chains: tuple[ChainTail, ...]
    findings: tuple[Finding, ...]
    """The first hundred."""
    found: int
    """How many there are."""

    @property
    def whole(self) -> bool:
        """Whether nothing was found."""
        return self.found == 0


class Statements:
    """Reads signed statements for one verification; what is wrong with one becomes a finding.

    Args:
        keys: the public audit keys.
        issuer: whose statements they must be; without it, those of whoever has the keys.
        exported: checkpoints that were kept elsewhere.
    """

    def __init__(
        self, keys: JWKSet, *, issuer: str | None = None, exported: Sequence[Checkpoint] = ()
    ) -> None:
        self.exported = tuple(exported)
        self.held = len(self.exported)
        self._keys = keys
        self._issuer = issuer
        self._wrong: list[str] = []

    def read(self, statement: object, name: str, *, typ: str = CHECKPOINT) -> Checkpoint | None:
        """Return what a statement says; `None` if nothing can be learned from it."""
        try:
            if not isinstance(statement, str):
                raise CheckpointInvalid("expected text")
            found = verified(statement, self._keys, typ=typ)
            if self._issuer is not None and found.iss != self._issuer:
                raise CheckpointInvalid(f"expected one of {self._issuer}, found one of another issuer")
        except CheckpointInvalid as error:
            self._wrong.append(f"{name}: {error}")
            return None
        self.held += 1
        return found

    def anchor(self, statement: object) -> Checkpoint | None:
        """Return what an anchor says likewise."""
        return self.read(statement, "the anchor", typ=ANCHOR)

    def wrong(self, text: str) -> None:
        """Add something that is wrong with a statement."""
        self._wrong.append(text)

    def report(self, verifier: Verifier, *, forgotten: int = 0) -> Report:
        """Return what it came to."""
        for text in self._wrong:
            verifier.find("statement", None, text)
        return Report(
            verifier.events,
            verifier.last,
            verifier.unchained_events,
            forgotten,
            self.held,
            verifier.tails,
            tuple(verifier.findings),
            verifier.found,
        )


def read_exported(text: str, keys: JWKSet) -> list[Checkpoint]:
    """Return the checkpoints of a file: one compact JWS on each line.

    Raises:
        CheckpointInvalid: one of them does not hold, or there is none.
    """
    found = [verified(line, keys) for line in text.split()]
    if not found:
        raise CheckpointInvalid("expected a file with a checkpoint on each line, found none")
    return found

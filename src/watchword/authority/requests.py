"""What a client sends to the token service and what it gets back, without HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A form and a header, exactly as they came; unprintable, since both hold secrets."""

    parameters: Sequence[tuple[str, str]] = field(repr=False)
    authorization: str | None = field(default=None, repr=False)
    """The value of the one `Authorization` header."""
    request_id: str | None = None
    """Stands in the answer, in the log and in the audit."""


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """A successful answer (RFC 6749 §5.1, RFC 8693 §2.2.1); there is never a refresh token beside it."""

    access_token: str = field(repr=False)
    token_type: str
    expires_in: int
    """Seconds."""
    scope: str
    issued_token_type: str | None = None
    """Only in the answer of an exchange."""

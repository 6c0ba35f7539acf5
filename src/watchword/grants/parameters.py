"""The parameters of a token request, each at most once (RFC 6749 §3.2)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Self

from watchword.errors import InvalidRequest
from watchword.tokens.jwk_set import printable

# RFC 8693 §2.1 and RFC 8707 §2 let a request name several targets; everything else comes once
_REPEATABLE = frozenset({"audience", "resource"})


class Parameters:
    """What a client sent, read strictly. Unknown parameters are kept and never looked at.

    Unprintable as a whole: values are secrets and tokens.

    Raises:
        InvalidRequest: a parameter that must come once came twice, even with the same value.
    """

    __slots__ = ("_values",)

    _values: Mapping[str, tuple[str, ...]]

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        values: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            if not value:  # sent without a value means not sent (RFC 6749 §3.2)
                continue
            if name in values and name not in _REPEATABLE:
                raise InvalidRequest(f"expected the parameter {printable(name)} once, found it again")
            values[name] = (*values.get(name, ()), value)
        self._values = MappingProxyType(values)

    @classmethod
    def of(cls, **values: str) -> Self:
        """Return parameters from keywords, for callers that have no form."""
        return cls(list(values.items()))

    def get(self, name: str) -> str | None:
        """Return the value, or `None` if it was not sent."""
        values = self._values.get(name)
        return None if values is None else values[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Return every value of a parameter that may repeat."""
        return self._values.get(name, ())

    def require(self, name: str) -> str:
        """Return the value.

        Raises:
            InvalidRequest: it was not sent.
        """
        value = self.get(name)
        if value is None:
            raise InvalidRequest(f"expected the parameter {name}")
        return value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        return f"Parameters({', '.join(sorted(printable(name) for name in self._values))})"

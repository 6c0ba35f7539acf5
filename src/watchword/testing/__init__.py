"""What users and adapters test with: a pytest plugin, a conformance suite, contract suites, real peers.

Loading this package loads nothing else: pytest does so wherever Watchword is installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchword.testing.conformance import ConformanceSuite
    from watchword.testing.forgery import Forgery
    from watchword.testing.issuer import TestIssuer

__all__ = ["ConformanceSuite", "Forgery", "TestIssuer"]

_HOMES = {
    "ConformanceSuite": "watchword.testing.conformance",
    "Forgery": "watchword.testing.forgery",
    "TestIssuer": "watchword.testing.issuer",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'watchword.testing' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)

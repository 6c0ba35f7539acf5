"""One microservice acts for a user at another, and everyone can see who did what."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from watchword import errors
    from watchword.keys.issuer import Issuer
    from watchword.service import IssuerSettings, Watchword
    from watchword.tokens.verified import VerifiedToken

__all__ = ["Issuer", "IssuerSettings", "VerifiedToken", "Watchword", "errors"]

# Named here, loaded when asked for: a service that verifies never loads what issues.
_HOMES = {
    "Issuer": "watchword.keys.issuer",
    "IssuerSettings": "watchword.service",
    "VerifiedToken": "watchword.tokens.verified",
    "Watchword": "watchword.service",
    "errors": "watchword.errors",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'watchword' has no attribute {name!r}")
    module = import_module(home)
    return module if home == f"watchword.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)

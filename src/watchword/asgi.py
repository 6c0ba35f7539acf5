"""The door for any ASGI service, Starlette's too: `from watchword.asgi import Watchword`."""

from watchword.integrations.asgi import Watchword, issuer_app
from watchword.tokens.verified import VerifiedToken

__all__ = ["VerifiedToken", "Watchword", "issuer_app"]

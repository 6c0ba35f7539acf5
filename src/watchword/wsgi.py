"""The door for any WSGI service: `from watchword.wsgi import Watchword`."""

from watchword.integrations.wsgi import Watchword, issuer_app
from watchword.tokens.verified import VerifiedToken

__all__ = ["VerifiedToken", "Watchword", "issuer_app"]

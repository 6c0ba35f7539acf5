"""The door for Flask services: `from watchword.flask import Watchword`."""

from watchword.integrations.flask import Watchword, issuer_blueprint
from watchword.tokens.verified import VerifiedToken

__all__ = ["VerifiedToken", "Watchword", "issuer_blueprint"]

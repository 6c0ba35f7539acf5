"""The door for FastAPI services: `from watchword.fastapi import Watchword`."""

from watchword.integrations.fastapi import Refused, Watchword, issuer_router
from watchword.tokens.verified import VerifiedToken

__all__ = ["Refused", "VerifiedToken", "Watchword", "issuer_router"]

"""The `Watchword` object of a service: settings, verifier, outbound calls, lifespan."""

from watchword.service.issuers import IssuerSettings
from watchword.service.settings import ServiceSettings
from watchword.service.watchword import Watchword

__all__ = ["IssuerSettings", "ServiceSettings", "Watchword"]
